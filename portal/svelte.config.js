import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';

export default {
  preprocess: vitePreprocess({ style: false }),
  compilerOptions: {
    runes: true,
    // Elements are made one by one: no markup is parsed at run time, as Trusted Types want it.
    fragments: 'tree',
  },
};
