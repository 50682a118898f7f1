/** What one types into a client of one's own. */

/**
 * The command of an `ssh` that goes through the gateway at `place`, a `host:port`. An address of IPv6 has brackets before its
 * port, and none before a client's.
 */
export function sshCommand(place: string | null | undefined, login: string): string {
  const [host, port] = (place ?? '').split(/:(?=\d+$)/);
  const bare = host?.replace(/^\[|\]$/g, '');
  return `ssh ${port && port !== '22' ? `-p ${port} ` : ''}'${login}'@${bare || 'gateway'}`;
}
