import { expect, it } from 'vitest';
import { sshCommand } from './native';

it('names the gateway as ssh takes it', () => {
  const at = (place: string | null) => sshCommand(place, 'ada+root@web-1');
  expect(at('gateway.example.net:2222')).toBe("ssh -p 2222 'ada+root@web-1'@gateway.example.net");
  expect(at('gateway.example.net:22')).toBe("ssh 'ada+root@web-1'@gateway.example.net");
  expect(at('[2001:db8::1]:2222')).toBe("ssh -p 2222 'ada+root@web-1'@2001:db8::1");
  expect(at('192.0.2.7:2222')).toBe("ssh -p 2222 'ada+root@web-1'@192.0.2.7");
  expect(at(null)).toBe("ssh 'ada+root@web-1'@gateway");
});
