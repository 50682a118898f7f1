//! Measures decisions and listings: 1,000 policies, 50,000 accounts on 10,000 targets. Prints JSON.
//!
//! `cargo run --release -p sallyport-policy --example speed`

#![expect(clippy::print_stdout, reason = "a measurement prints its result")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the monotonic clock")]

use sallyport_model::inventory::{Account, Class, Identity, IdentityKind, Rest, Target, Tier};
use sallyport_model::{AccountId, Env, IdentityId, TargetId};
use sallyport_policy::{Act, Decision, Facts, Inventory, Place, PolicySet, Standing, decide, reach, standing};
use std::error::Error;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

const POLICIES: usize = 1_000;
const TARGETS: usize = 10_000;
const ACCOUNTS_EACH: usize = 5;
const GROUPS: usize = 500;
const IDENTITIES: usize = 200;
const DECISIONS: usize = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    let env = Env::system();
    let places = places(&env)?;
    let identities = (0..IDENTITIES).map(|n| identity(&env, n)).collect::<Result<Vec<_>, _>>()?;

    let start = Instant::now();
    let set = PolicySet::load(&[("speed.cedar".to_owned(), policies()?)])?;
    let load = start.elapsed();
    let start = Instant::now();
    let inventory = Inventory::new(places.clone());
    let index = start.elapsed();

    let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let facts: Vec<Facts<'_>> = identities.iter().map(|identity| Facts::new(identity, env.now(), from)).collect();
    let (mut connect, mut evaluated, mut stand) = (Vec::new(), Vec::new(), Vec::new());
    let (mut permits, mut requestable) = (0_u32, 0_u32);
    // Pairs that hop through both lists, the same in every run.
    let pairs = facts.iter().cycle().zip(places.iter().cycle().step_by(7_919)).take(DECISIONS);
    for (facts, (target, account)) in pairs {
        let facts = facts.clone().at(Place::Account(target, account));
        let start = Instant::now();
        let decision = decide(&set, &facts, Act::Connect);
        connect.push(start.elapsed());
        // A denial for want of any candidate never reaches Cedar, so the others are told apart.
        if !matches!(decision, Decision::Deny { .. }) {
            evaluated.extend(connect.last().copied());
        }
        permits += u32::from(decision.permits());
        let start = Instant::now();
        let state = standing(&set, &facts);
        stand.push(start.elapsed());
        requestable += u32::from(state == Standing::Requestable);
    }
    let (mut listings, mut reached) = (Vec::new(), 0);
    for facts in &facts {
        let start = Instant::now();
        reached += reach(&set, facts, Act::Connect, &inventory).len();
        listings.push(start.elapsed());
    }
    let first = listings.first().copied().unwrap_or_default();
    let decide = quantiles(connect);
    let evaluated = quantiles(evaluated);
    let standing = quantiles(stand);
    let reach = quantiles(listings);
    println!(
        "{{\"policies\":{POLICIES},\"accounts\":{},\"load_ms\":{},\"index_ms\":{},\
         \"decide_us\":{decide},\"decide_evaluated_us\":{evaluated},\"standing_us\":{standing},\"reach_us\":{reach},\"reach_first_us\":{},\
         \"permitted\":{permits},\"requestable\":{requestable},\"reached\":{reached}}}",
        inventory.len(),
        load.as_millis(),
        index.as_millis(),
        first.as_micros(),
    );
    Ok(())
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    format!("{{\"p50\":{:.1},\"p99\":{:.1}}}", at(50), at(99))
}

/// Per group one policy by tag and one by environment, some demanding an approval; a few forbids and limits.
fn policies() -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for n in 0..POLICIES {
        let group = n % GROUPS;
        match n % 20 {
            0 => writeln!(
                text,
                "@limit @idle(\"5m\") permit (principal, action == Action::\"connect\", resource) when {{ resource.tags.contains(\"tag-{}\") }};",
                n % 200
            )?,
            1 => writeln!(
                text,
                "forbid (principal, action == Action::\"connect\", resource) when {{ resource.tags.contains(\"tag-{}\") && context.time.weekday > 7 }};",
                n % 200
            )?,
            2..6 => writeln!(
                text,
                "@require_approval(\"group-{group}:1\") permit (principal in Group::\"group-{group}\", action in [Action::\"connect\", Action::\"request\"], resource) when {{ resource.environment == \"env-{}\" && resource.tier >= 1 }};",
                n % 10
            )?,
            _ => writeln!(
                text,
                "@max_duration(\"2h\") permit (principal in Group::\"group-{group}\", action == Action::\"connect\", resource) when {{ resource.tags.contains(\"tag-{}\") && resource.class == \"standard\" }};",
                n % 200
            )?,
        }
    }
    Ok(text)
}

type Places = Vec<(Arc<Target>, Arc<Account>)>;

fn places(env: &Env) -> Result<Places, Box<dyn Error>> {
    let mut places = Vec::with_capacity(TARGETS * ACCOUNTS_EACH);
    for n in 0..TARGETS {
        let tags = [n % 200, n / 7 % 200, n / 50 % 200].map(|tag| format!("tag-{tag}").parse());
        let target = Arc::new(Target {
            id: TargetId::new(env),
            name: format!("host-{n}").parse()?,
            protocol: "ssh".parse()?,
            host: "192.0.2.1".to_owned(),
            port: 22,
            zone: "default".parse()?,
            environment: format!("env-{}", n % 10).parse()?,
            tier: Tier::try_from(u8::try_from(n % 3)?)?,
            tags: tags.into_iter().collect::<Result<_, _>>()?,
            host_keys: Vec::new(),
            platform: Default::default(),
            way: Default::default(),
            rest: Rest::new(),
        });
        for k in 0..ACCOUNTS_EACH {
            let account = Account {
                id: AccountId::new(env),
                target: target.id,
                name: format!("account-{k}").parse()?,
                class: if k == 0 { Class::Administrative } else { Class::Standard },
                owner: None,
                secret: None,
                certificate: None,
                through: None,
                rest: Rest::new(),
            };
            places.push((Arc::clone(&target), Arc::new(account)));
        }
    }
    Ok(places)
}

fn identity(env: &Env, n: usize) -> Result<Identity, Box<dyn Error>> {
    let groups = (0..8).map(|k| format!("group-{}", (n * 31 + k * 67) % GROUPS).parse());
    Ok(Identity {
        id: IdentityId::new(env),
        handle: format!("user-{n}").parse()?,
        kind: IdentityKind::User,
        groups: groups.collect::<Result<_, _>>()?,
        ssh_keys: Vec::new(),
        disabled: false,
        retired: false,
        rest: Rest::new(),
    })
}
