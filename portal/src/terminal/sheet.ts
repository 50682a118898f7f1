/**
 * Stands where xterm.js makes a `<style>`, which the portal's policy blocks: what is written into it goes to a constructed
 * style sheet of the document, which the policy allows. `vite.config.ts` puts it there.
 */

export function sheet(): HTMLElement {
  const element = document.createElement('span');
  element.hidden = true;
  const rules = new CSSStyleSheet();
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, rules];
  Object.defineProperty(element, 'textContent', { set: (text: string) => rules.replaceSync(text) });
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== rules);
    Element.prototype.remove.call(element);
  };
  return element;
}
