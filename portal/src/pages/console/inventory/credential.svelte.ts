/** What a form says of a credential: of what sort it is, and its secret, which is forgotten once it was sent. */

export class Credential {
  sort = $state<'password' | 'key' | 'generate' | 'none'>('password');
  secret = $state('');

  /** The secret as it is stored: a key is lines of text. */
  get value(): string {
    return this.sort === 'key' ? `${this.secret.trim()}\n` : this.secret;
  }

  forget(): void {
    this.secret = '';
  }
}
