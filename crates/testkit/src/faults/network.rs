//! A cable to a network namespace: what listens at its far end is a host away, until the cable is pulled.
//!
//! Unlike a relay's silence this is the kernel's own: packets are lost, retransmitted, and given up by its timers.

use super::Relay;
use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

static CABLES: AtomicU8 = AtomicU8::new(0);

/// A cable. Namespace and cable are gone with this value, or with the process in any case.
pub struct Cable {
    /// Holds the namespace, and ends with its standard input.
    keeper: Child,
    name: String,
    far: Ipv4Addr,
}

impl Cable {
    /// Lays one, plugged in.
    ///
    /// # Errors
    /// When this is not root, or `iproute2` is not installed.
    pub fn lay() -> Result<Self> {
        let number = CABLES.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let mut keeper = Command::new("unshare");
        keeper.args(["-n", "sh", "-c", "echo; exec cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = keeper.spawn().context("unshare is missing: apt-get install util-linux")?;
        // It says a line once it is in a namespace of its own.
        let mut line = [0];
        let said = keeper.stdout.as_mut().context("no output")?;
        std::io::Read::read_exact(said, &mut line).context("a network namespace needs root (CAP_SYS_ADMIN)")?;
        // 198.18.0.0/15 is for tests of networks (RFC 2544, appendix C.2.2): no host is there.
        let [_, _, high, low] = process.to_be_bytes();
        let third = high.rotate_left(3) ^ low;
        let near = Ipv4Addr::new(198, 18, third, number.wrapping_mul(4).wrapping_add(1));
        let far = Ipv4Addr::new(198, 18, third, number.wrapping_mul(4).wrapping_add(2));
        let cable = Self { name: format!("spt{process}n{number}"), far, keeper };
        let (name, space) = (&cable.name, cable.keeper.id().to_string());
        ip(&["link", "add", name, "type", "veth", "peer", "name", "far", "netns", &space])?;
        ip(&["address", "add", &format!("{near}/30"), "dev", name])?;
        ip(&["link", "set", name, "up"])?;
        cable.inside(&["address", "add", &format!("{far}/30"), "dev", "far"])?;
        cable.inside(&["link", "set", "far", "up"])?;
        Ok(cable)
    }

    /// A relay that listens at the far end and carries on from this one.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn relay(&self, to: SocketAddr) -> Result<Relay> {
        let (space, far) = (format!("/proc/{}/ns/net", self.keeper.id()), self.far);
        // A socket stays where it was made, so only the thread that makes it goes there.
        let made = std::thread::spawn(move || -> Result<TcpListener> {
            setns(File::open(space)?, CloneFlags::CLONE_NEWNET)?;
            Ok(TcpListener::bind((far, 0))?)
        });
        Relay::on(made.join().map_err(|_| anyhow::anyhow!("no listener"))??, to)
    }

    /// Pulls it at the far end: nothing of this end is told.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn pull(&self) -> Result<()> {
        self.inside(&["link", "set", "far", "down"])
    }

    /// Plugs it in again.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn plug_in(&self) -> Result<()> {
        self.inside(&["link", "set", "far", "up"])
    }

    fn inside(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.keeper.id().to_string(), "-n", "ip"]).args(arguments);
        run(command)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        // The namespace goes when its last socket does; the cable need not wait for that.
        let _ = ip(&["link", "delete", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(arguments);
    run(command)
}

fn run(mut command: Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().context("`ip` is missing: apt-get install iproute2")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(())
}
