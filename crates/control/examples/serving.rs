//! Prints how fast an installation of 100,000 documents starts, how much memory it takes, and how many uses of a
//! secret a second it makes durable entries of, as JSON: `cargo run --release --example serving [DIRECTORY]`.

use sallyport_control::{Actor, ApplyFile, Control, Founding, NewSecret, Op, found};
use sallyport_model::access::{Ask, From};
use sallyport_model::authority::{AuthStep, Call, Desk as _, Evidence, Hello, Open, Reply, VERSION};
use sallyport_model::sealed::PrivateKey;
use sallyport_model::{CallId, Env, GatewayId, LoginId, RecordingId, Secret, SessionId};
use sallyport_vault::Argon;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Targets, and accounts of each: one document for every target and every account.
const TARGETS: u32 = 1_000;
const ACCOUNTS: u32 = 99;
/// Targets in one apply.
const AT_ONCE: usize = 100;
/// Uses that wait for their answers, and how many each makes.
const USERS: u32 = 256;
const EACH: u32 = 100;
/// Cold starts; the median counts.
const STARTS: usize = 5;
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const HOST_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

type Failure = Box<dyn std::error::Error + Send + Sync>;

const POLICY: &str = r#"
@id("ada-uses-all")
@max_duration("1h")
permit (principal, action in [Action::"see", Action::"connect", Action::"channel:shell"], resource)
when { principal.handle == "ada" };
"#;

fn targets(range: std::ops::Range<u32>) -> String {
    let mut text = String::new();
    for target in range {
        let _ = writeln!(
            text,
            "[[target]]\nname = \"host-{target}\"\nhost = \"192.0.2.1\"\nport = 22\ntier = 1\nhost_keys = [\"{HOST_KEY}\"]"
        );
        for account in 0..ACCOUNTS {
            let _ = writeln!(text, "[[target.account]]\nname = \"user{account}\"\nclass = \"standard\"");
        }
    }
    text
}

fn file(name: &str, text: String) -> ApplyFile {
    ApplyFile { name: name.into(), text }
}

/// Founds an installation and fills it; ada's token lies beside it.
async fn fill(env: &Env, directory: &Path) -> Result<(), Failure> {
    let admin = "admin".parse()?;
    let founding = Founding {
        admin,
        ssh_keys: Vec::new(),
        token_seconds: 3600,
        argon: Argon::cheapest(),
        place: None,
        solo: false,
        sign_in: sallyport_control::SignInRules::default(),
    };
    let founded = found(env, directory, "node-1", &founding).await?;
    let control = open(env, directory).await?;
    let op = op(&control, &founded.token)?;
    let ada = file("people.toml", "[[identity]]\nhandle = \"ada\"\n".into());
    let policy = file("a.cedar", POLICY.into());
    let all: Vec<u32> = (0..TARGETS).collect();
    for part in all.chunks(AT_ONCE) {
        let (first, last) = (part.first().copied().unwrap_or(0), part.last().copied().unwrap_or(0));
        let files = [ada.clone(), policy.clone(), file("hosts.toml", targets(first..last.saturating_add(1)))];
        control.apply(&op, &files, false).await?;
    }
    let password = NewSecret::Password(Secret::new(b"correct horse battery staple".to_vec()));
    control.put_secret(&op, &"user1@host-1".parse()?, password).await?;
    let token = control.create_token(&op, Some(&"ada".parse()?), Duration::from_secs(3600), "measurement").await?;
    std::fs::write(directory.join("ada.token"), token.text.expose())?;
    control.close().await;
    Ok(())
}

async fn open(env: &Env, directory: &Path) -> Result<Arc<Control>, Failure> {
    let control = Arc::new(Control::new(env.clone(), directory, "node-1"));
    control.unseal_with_key_file(&std::fs::read(directory.join("keys/vault.key"))?).await?;
    Ok(control)
}

fn op(control: &Control, token: &Secret<String>) -> Result<Op, Failure> {
    let who = control.sign_in(token)?;
    Ok(Op {
        actor: Actor::Identity(who.identity.id, who.identity.handle),
        from: HERE,
        correlation: String::new(),
        device: None,
    })
}

/// A gateway that signs ada in and opens a session.
async fn session(env: &Env, control: &Control, token: &str) -> Result<(GatewayId, SessionId), Failure> {
    let gateway = GatewayId::new(env);
    let hello = Hello { version: VERSION, gateway, zone: "default".parse()?, open: Vec::new() };
    control.join(hello, Arc::new(|_| true)).await.map_err(|denial| denial.message)?;
    let evidence = Evidence::Token(Secret::new(token.as_bytes().to_vec()));
    let step = AuthStep { handle: None, from: From(HERE), evidence, exchange: None };
    let asked = control.call(gateway, CallId::new(env), Call::AuthStep(LoginId::new(env), step)).await;
    let Reply::Authenticated(who) = asked else { return Err("ada does not sign in".into()) };
    let session = SessionId::new(env);
    let (_, public) = PrivateKey::generate(env)?;
    let ask = Ask {
        account: "user1".parse()?,
        target: "host-1".parse()?,
        protocol: "ssh".into(),
        from: From(HERE),
        reason: String::new(),
    };
    let open = Open { session, who: who.auth, ask, recording: RecordingId::new(env), header: vec![1; 32], key: public };
    match control.call(gateway, CallId::new(env), Call::Open(open)).await {
        Reply::Opened(_) => Ok((gateway, session)),
        Reply::Denied(denial) => Err(denial.message.into()),
        _ => Err("no answer to Open".into()),
    }
}

/// Starts cold, opens a session, and says what memory the process has then.
#[expect(clippy::print_stdout, reason = "the answer for the process that started this one")]
async fn start(directory: &Path) -> Result<(), Failure> {
    let env = Env::system();
    let control = open(&env, directory).await?;
    session(&env, &control, &std::fs::read_to_string(directory.join("ada.token"))?).await?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    println!("{}", resident.trim().trim_end_matches(" kB"));
    control.close().await;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs the machine's clock")]
fn cold(directory: &Path) -> Result<(f64, f64), Failure> {
    let mut times = Vec::new();
    let mut memory = 0.0;
    for _ in 0..STARTS {
        let begun = Instant::now();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("start").arg(directory).stdout(std::process::Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("no output")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)?;
        times.push(begun.elapsed());
        memory = line.trim().parse::<f64>()? / 1024.0;
        if !child.wait()?.success() {
            return Err("a cold start failed".into());
        }
    }
    times.sort_unstable();
    Ok((times.get(STARTS / 2).map_or(0.0, Duration::as_secs_f64), memory))
}

/// Uses of one session's password that never pause: each is sealed to the session and has its entry.
#[expect(clippy::disallowed_methods, reason = "a measurement needs the machine's clock")]
async fn uses(env: &Env, directory: &Path) -> Result<(f64, f64), Failure> {
    let control = open(env, directory).await?;
    let (gateway, session) = session(env, &control, &std::fs::read_to_string(directory.join("ada.token"))?).await?;
    let begun = Instant::now();
    let mut users = Vec::new();
    for _ in 0..USERS {
        let (env, control) = (env.clone(), control.clone());
        users.push(tokio::spawn(async move {
            let mut waits = Vec::new();
            for _ in 0..EACH {
                let asked = Instant::now();
                match control
                    .call(gateway, CallId::new(&env), Call::Password(session, sallyport_model::way::Stop::Target))
                    .await
                {
                    Reply::Password(_) => waits.push(asked.elapsed()),
                    _ => return Err("no password"),
                }
            }
            Ok(waits)
        }));
    }
    let mut waits = Vec::new();
    for user in users {
        waits.extend(user.await??);
    }
    let rate = (f64::from(USERS * EACH) / begun.elapsed().as_secs_f64()).round();
    waits.sort_unstable();
    let p99 = waits.get(waits.len() * 99 / 100).map_or(0.0, |d| d.as_secs_f64() * 1000.0);
    control.close().await;
    Ok((rate, p99))
}

#[expect(clippy::print_stdout, reason = "the figures are what this example is for")]
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    if first.as_deref() == Some("start") {
        return start(Path::new(&args.next().ok_or("start what?")?)).await;
    }
    let env = Env::system();
    let directory = tempfile::tempdir_in(first.unwrap_or_else(|| ".".into()))?;
    fill(&env, directory.path()).await?;
    let (seconds, mib) = cold(directory.path())?;
    let (rate, p99) = uses(&env, directory.path()).await?;
    let documents = TARGETS * (ACCOUNTS + 1);
    println!(
        "{{\"documents\": {documents}, \"cold_start_s\": {seconds:.2}, \"resident_mib\": {mib:.0}, \
         \"secret_uses\": {{\"per_second\": {rate}, \"p99_ms\": {p99:.2}, \"users\": {USERS}}}}}"
    );
    Ok(())
}
