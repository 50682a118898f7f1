//! `sallyport ssh` and `sallyport config ssh`: the machine's own client, told where to go.

use crate::certificate;
use crate::client::Client;
use crate::command::Ssh;
use crate::output::{Output, harmless};
use crate::{Fail, Surroundings};
use sallyport_model::{Address, Kind};
use sallyport_wire as wire;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

pub(crate) async fn ssh(args: Ssh, client: &Client, surroundings: &Surroundings) -> Result<(), Fail> {
    let address: Address = args.address.parse().map_err(Fail::usage)?;
    let Address::Place { account, target, .. } = address else {
        return Err(Fail::usage("name a place: account@target"));
    };
    let me: wire::Me = client.get("/me", &[]).await?;
    let (host, port) = gateway(client).await?;
    let handle = me.handle.parse().map_err(Fail::failed)?;
    let user = Address::Place { handle: Some(handle), account, target }.to_string();
    // Nothing but a failure to start comes back: this process becomes the client.
    let mut command = Command::new("ssh");
    command.args(["-l", &user, "-p", &port]);
    for (name, value) in certificate::options(surroundings) {
        command.arg("-o").arg(format!("{name}={value}"));
    }
    let error = command.arg(host).args(&args.rest).exec();
    Err(Fail::failed(format!("cannot start the ssh client: {error}; is OpenSSH installed?")))
}

/// Where the gateway listens: host and port.
async fn gateway(client: &Client) -> Result<(String, String), Fail> {
    let status: wire::Status = client.get("/status", &[]).await?;
    let gateway = status.ssh.ok_or_else(|| Fail::new(Kind::Unavailable, "this server does not serve SSH"))?;
    let wrong = || Fail::failed("the server's SSH address is not understood");
    let (host, port) = gateway.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.starts_with('-') || !word(host) || port.parse::<u16>().is_err() {
        return Err(wrong());
    }
    Ok((host.to_owned(), port.to_owned()))
}

/// Blocks for ssh_config, so that `ssh web-1`, scp, git and editors go through the gateway by themselves.
pub(crate) async fn config(client: &Client, surroundings: &Surroundings, out: Output) -> Result<(), Fail> {
    let (host, port) = gateway(client).await?;
    let page = wire::Page { items: client.all::<wire::Reach>("/reach").await?, next: None };
    let own: String = certificate::options(surroundings)
        .iter()
        .filter(|(name, _)| *name != "HostKeyAlias")
        .map(|(name, value)| format!("  {name} {value}\n"))
        .collect();
    out.show(&page, |page| blocks(&page.items, (&host, &port), &own))
}

/// Lines for a known_hosts file, by which any client knows the gateways.
pub(crate) async fn known_hosts(client: &Client, out: Output) -> Result<(), Fail> {
    let known: wire::KnownHosts = client.get("/known-hosts", &[]).await?;
    out.show(&known, known_text)
}

fn known_text(known: &wire::KnownHosts) -> String {
    // A line break that a server says would be a line of its own.
    let one = |text: &str| harmless(text).replace('\n', " ");
    let about = format!(
        "# Gateways of Sallyport, at {}: their host key is ED25519 {}\n\
         # OpenSSH believes the authority; the last line is for clients that know no authorities.\n",
        one(known.ssh.as_deref().unwrap_or("no place that the server names")),
        one(&known.fingerprint)
    );
    format!("{about}{}", known.lines.iter().map(|line| one(line)).collect::<Vec<_>>().join("\n"))
}

fn blocks(reach: &[wire::Reach], (host, port): (&str, &str), own: &str) -> String {
    let mut text = "# Written by `sallyport config ssh`. Keep it as ~/.ssh/sallyport, and begin ~/.ssh/config with:\n\
                    #   Include ~/.ssh/sallyport\n"
        .to_owned();
    // What a server says is not taken for more than names: a line break would be a setting of its own.
    let usable =
        |r: &&wire::Reach| r.protocol == "ssh" && [&r.target, &r.account, &r.login].iter().all(|name| word(name));
    let reach: Vec<&wire::Reach> = reach.iter().filter(usable).collect();
    for r in &reach {
        let alone = reach.iter().filter(|other| other.target == r.target).count() == 1;
        let names = if alone {
            format!("{} {}.{}", r.target, r.account, r.target)
        } else {
            format!("{}.{}", r.account, r.target)
        };
        text.push_str(&format!(
            "\nHost {names}\n  HostName {host}\n  Port {port}\n  User {}\n  HostKeyAlias sallyport\n{own}",
            r.login
        ));
    }
    if reach.is_empty() {
        text.push_str(
            "\n# Nothing is in your reach yet: ask an administrator for a policy that permits you something.\n",
        );
    }
    text
}

/// Whether a name is one word that ssh_config takes as it is.
pub(crate) fn word(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| {
            b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'#' | b'*' | b'?' | b'!' | b'\\' | b'$' | b'`')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(account: &str, target: &str) -> wire::Reach {
        wire::Reach {
            target: target.into(),
            account: account.into(),
            protocol: "ssh".into(),
            environment: "prod".into(),
            tier: 1,
            tags: Vec::new(),
            state: "usable".into(),
            login: format!("ada+{account}@{target}"),
            note: String::new(),
            used: None,
        }
    }

    #[test]
    fn a_target_with_one_account_goes_by_its_own_name() {
        let text = blocks(&[reach("root", "web-1"), reach("a", "db-1"), reach("b", "db-1")], ("gw", "2222"), "");
        assert!(
            text.contains("\nHost web-1 root.web-1\n  HostName gw\n  Port 2222\n  User ada+root@web-1\n"),
            "{text}"
        );
        assert!(text.contains("\nHost a.db-1\n") && text.contains("\nHost b.db-1\n"), "{text}");
        assert!(!text.contains("Host db-1"), "{text}");
    }

    #[test]
    fn a_server_writes_no_settings_into_it() {
        for evil in ["web-1\n  ProxyCommand evil", "*", "a b", "x#", "$(x)", ""] {
            let text = blocks(&[reach("root", evil)], ("gw", "2222"), "");
            assert!(!text.contains("\nHost"), "{text}");
        }
    }
}
