/** Light or dark: as the system has it, or as the user chose. */

export type Choice = 'system' | 'light' | 'dark';
const KEY = 'sallyport.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');

class Theme {
  choice = $state<Choice>(stored());
  #system = $state(dark.matches);

  constructor() {
    dark.addEventListener('change', (event) => {
      this.#system = event.matches;
      this.#show();
    });
    this.#show();
  }

  get shown(): 'light' | 'dark' {
    if (this.choice !== 'system') return this.choice;
    return this.#system ? 'dark' : 'light';
  }

  choose(choice: Choice): void {
    this.choice = choice;
    localStorage.setItem(KEY, choice);
    this.#show();
  }

  #show(): void {
    document.documentElement.dataset.theme = this.shown;
  }
}

function stored(): Choice {
  const text = localStorage.getItem(KEY);
  return text === 'light' || text === 'dark' ? text : 'system';
}

export const theme = new Theme();
