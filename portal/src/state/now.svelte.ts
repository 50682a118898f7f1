/** The present, for what is shown of it: by the second where somebody counts down, by 15 seconds elsewhere. */

class Now {
  second = $state(new Date());
  minute = $state(new Date());

  constructor() {
    setInterval(() => {
      const time = new Date();
      this.second = time;
      if (time.getSeconds() % 15 === 0) this.minute = time;
    }, 1000);
  }
}

export const now = new Now();
