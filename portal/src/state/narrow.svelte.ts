/** Whether the screen is a phone's. */

class Narrow {
  #query = matchMedia('(max-width: 640px)');
  matches = $state(this.#query.matches);

  constructor() {
    this.#query.addEventListener('change', (event) => (this.matches = event.matches));
  }
}

export const narrow = new Narrow();
