//! `sallyport ssh`: the machine's own client, told where to go.

use crate::Fail;
use crate::client::Client;
use crate::command::Ssh;
use sallyport_model::{Address, Kind};
use sallyport_wire as wire;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

pub(crate) async fn ssh(args: Ssh, client: &Client) -> Result<(), Fail> {
    let address: Address = args.address.parse().map_err(Fail::usage)?;
    let Address::Place { account, target, .. } = address else {
        return Err(Fail::usage("name a place: account@target"));
    };
    let me: wire::Me = client.get("/me", &[]).await?;
    let status: wire::Status = client.get("/status", &[]).await?;
    let gateway = status.ssh.ok_or_else(|| Fail::new(Kind::Unavailable, "this server does not serve SSH"))?;
    let (host, port) =
        gateway.rsplit_once(':').ok_or_else(|| Fail::failed("the server's SSH address is not understood"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.starts_with('-') || port.parse::<u16>().is_err() {
        return Err(Fail::failed("the server's SSH address is not understood"));
    }
    let handle = me.handle.parse().map_err(Fail::failed)?;
    let user = Address::Place { handle: Some(handle), account, target }.to_string();
    // Nothing but a failure to start comes back: this process becomes the client.
    let error = Command::new("ssh").args(["-l", &user, "-p", port]).arg(host).args(&args.rest).exec();
    Err(Fail::failed(format!("cannot start the ssh client: {error}; is OpenSSH installed?")))
}
