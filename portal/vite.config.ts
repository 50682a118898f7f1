import { svelte } from '@sveltejs/vite-plugin-svelte';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** Beside every file that shrinks: the same, compressed. The server only chooses. */
function precompressed(): Plugin {
  return {
    name: 'precompressed',
    apply: 'build',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        for (const [fileName, output] of Object.entries(bundle)) {
          if (!/\.(js|css|html|svg|json)$/.test(fileName)) continue;
          const bytes = Buffer.from(output.type === 'chunk' ? output.code : output.source);
          const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
          this.emitFile({ type: 'asset', fileName: `${fileName}.br`, source: brotli });
          this.emitFile({ type: 'asset', fileName: `${fileName}.gz`, source: gzipSync(bytes, { level: 9 }) });
        }
      },
    },
  };
}

/**
 * xterm.js writes `<style>` elements and one `style` attribute, which a strict Content Security Policy blocks. They become
 * constructed style sheets and the CSSOM. Another xterm.js may do it elsewhere: then the build fails.
 */
function strictTerminal(): Plugin {
  const changes: [RegExp, string, number][] = [
    [/[\w.]+\.createElement\("style"\)/g, 'strictSheet()', 3],
    [/(\w+)\.setAttribute\("style",(`[^`]*`)\)/g, '($1.style.cssText=$2)', 1],
  ];
  return {
    name: 'strict-terminal',
    transform(code, id) {
      if (!/@xterm\/xterm\/lib\/xterm\.mjs$/.test(id)) return null;
      let changed = code;
      for (const [what, into, times] of changes) {
        const found = code.match(what)?.length ?? 0;
        if (found !== times) this.error(`xterm.js has ${found} places like ${what} and not ${times}: look at each of them`);
        changed = changed.replaceAll(what, into);
      }
      return { code: `import { sheet as strictSheet } from '/src/terminal/sheet.ts';\n${changed}`, map: null };
    },
  };
}

export default defineConfig({
  plugins: [svelte(), strictTerminal(), precompressed()],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { '/api': { target: process.env.SALLYPORT_URL ?? 'http://127.0.0.1:8480', ws: true } } },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
