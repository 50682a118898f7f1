/** WebAuthn between JSON of the wire (base64url) and what the browser wants (buffers). */

interface Descriptor {
  id: string;
  type: 'public-key';
  transports?: AuthenticatorTransport[];
}

export interface CreationJson {
  publicKey: Omit<PublicKeyCredentialCreationOptions, 'challenge' | 'user' | 'excludeCredentials'> & {
    challenge: string;
    user: { id: string; name: string; displayName: string };
    excludeCredentials?: Descriptor[];
  };
}

export interface RequestJson {
  publicKey: Omit<PublicKeyCredentialRequestOptions, 'challenge' | 'allowCredentials'> & {
    challenge: string;
    allowCredentials?: Descriptor[];
  };
}

/** Whether this browser, at this address, has passkeys at all. */
export const supported = typeof PublicKeyCredential !== 'undefined' && isSecureContext;

function bytes(text: string): Uint8Array<ArrayBuffer> {
  const plain = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}

function text(buffer: ArrayBuffer): string {
  return btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=+$/, '');
}

const descriptors = (list: Descriptor[] = []) => list.map((entry) => ({ ...entry, id: bytes(entry.id) }));

/** Makes a passkey; its credential as JSON of the wire. */
export async function create({ publicKey }: CreationJson): Promise<unknown> {
  const made = await navigator.credentials.create({
    publicKey: {
      ...publicKey,
      challenge: bytes(publicKey.challenge),
      user: { ...publicKey.user, id: bytes(publicKey.user.id) },
      excludeCredentials: descriptors(publicKey.excludeCredentials),
    },
  });
  const { id, rawId, response, type } = credential(made);
  if (!(response instanceof AuthenticatorAttestationResponse)) throw new Error('The browser made no passkey.');
  return {
    id,
    rawId: text(rawId),
    type,
    response: {
      attestationObject: text(response.attestationObject),
      clientDataJSON: text(response.clientDataJSON),
      transports: response.getTransports(),
    },
    extensions: {},
  };
}

/** Uses a passkey; its assertion as JSON of the wire. */
export async function get({ publicKey }: RequestJson): Promise<unknown> {
  const found = await navigator.credentials.get({
    publicKey: {
      ...publicKey,
      challenge: bytes(publicKey.challenge),
      allowCredentials: descriptors(publicKey.allowCredentials),
    },
  });
  const { id, rawId, response, type } = credential(found);
  if (!(response instanceof AuthenticatorAssertionResponse)) throw new Error('The browser used no passkey.');
  return {
    id,
    rawId: text(rawId),
    type,
    response: {
      authenticatorData: text(response.authenticatorData),
      clientDataJSON: text(response.clientDataJSON),
      signature: text(response.signature),
      userHandle: response.userHandle ? text(response.userHandle) : null,
    },
    extensions: {},
  };
}

function credential(found: Credential | null): PublicKeyCredential {
  if (found instanceof PublicKeyCredential) return found;
  throw new Error('No passkey was chosen.');
}

/** What the browser's refusal means, for people. */
export function refusal(error: unknown): string {
  const name = error instanceof DOMException ? error.name : '';
  if (name === 'NotAllowedError') return 'No passkey was used: it was cancelled, or none here is known to this server.';
  if (name === 'InvalidStateError') return 'This passkey is registered already.';
  if (name === 'SecurityError') return 'Passkeys do not work at this address. Open the portal at its public URL.';
  return error instanceof Error ? error.message : 'The passkey could not be used.';
}
