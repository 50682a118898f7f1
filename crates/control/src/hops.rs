//! Jump hosts: the way to a target, followed over documents as they are, or as they are to become.

use crate::control::Open;
use crate::directory::{all, kinds};
use crate::found::jump_host;
use crate::{Control, Error, Op};
use sallyport_model::access::Denial;
use sallyport_model::inventory::{Account, Target};
use sallyport_model::way::{Jump, MOST_HOPS};
use sallyport_model::{AccountName, Kind, TargetName};
use sallyport_policy::Right;

/// Why a way does not lead to its target.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Broken {
    /// A jump host is not there.
    #[error("`{target}` is reached through `{jump}`, and there is no such account: add it, or correct `via`")]
    Missing {
        /// Whose `via` it is.
        target: TargetName,
        /// What is missing.
        jump: Jump,
    },
    /// It comes back to where it was.
    #[error("the way to `{target}` comes back to `{jump}`: a jump host is not reached through itself, correct `via`")]
    Loop {
        /// Where the way leads.
        target: TargetName,
        /// What it comes back to.
        jump: Jump,
    },
    /// More jump hosts than anybody needs.
    #[error("the way to `{0}` has more than {MOST_HOPS} jump hosts: shorten it")]
    Long(TargetName),
    /// Something that nobody can go through.
    #[error("`{jump}` cannot be a jump host: it speaks {protocol}, and a jump host speaks ssh")]
    Protocol {
        /// The jump host.
        jump: Jump,
        /// What it speaks.
        protocol: String,
    },
    /// An account that nobody logs in at.
    #[error(
        "`{jump}` cannot be a jump host: it is become by way of `{logon}`, and the account of a jump host is one that is \
         logged in at; name `{logon}` in its place, or take `through` from it"
    )]
    Become {
        /// The jump host.
        jump: Jump,
        /// Its logon account.
        logon: Jump,
    },
}

/// Why this account cannot be gone through, where it cannot.
pub(crate) fn no_jump_host(jump: &Jump, target: &Target, account: &Account) -> Option<Broken> {
    let jump = jump.clone();
    if target.protocol.as_str() != "ssh" {
        return Some(Broken::Protocol { jump, protocol: target.protocol.to_string() });
    }
    let logon = account.through.as_ref()?.account.clone();
    Some(Broken::Become { logon: Jump { account: logon, target: jump.target.clone() }, jump })
}

/// A way, as far as it leads.
pub(crate) struct Way<T> {
    /// The jump hosts, the outermost first; none where the way is broken.
    pub(crate) found: Vec<T>,
    /// Their names. Of a broken way also what is missing, so that a policy that names it is not passed by.
    pub(crate) jumps: Vec<Jump>,
    pub(crate) broken: Option<Broken>,
}

/// Follows the way to a target. `look` gives the target of a jump host, with what the caller wants of it.
pub(crate) fn walk<T: JumpHost>(target: &Target, look: impl Fn(&Jump) -> Option<T>) -> Way<T> {
    let (mut found, mut jumps): (Vec<T>, Vec<Jump>) = (Vec::new(), Vec::new());
    let mut broken = None;
    let (mut of, mut next) = (target.name.clone(), target.way.via.clone());
    while let Some(jump) = next {
        let again = jump.target == target.name || jumps.iter().any(|known| known.target == jump.target);
        jumps.push(jump.clone());
        if again {
            broken = Some(Broken::Loop { target: target.name.clone(), jump });
            break;
        }
        if found.len() >= MOST_HOPS {
            broken = Some(Broken::Long(target.name.clone()));
            break;
        }
        let Some(hop) = look(&jump) else {
            broken = Some(Broken::Missing { target: of, jump });
            break;
        };
        let (at, account) = hop.parts();
        broken = no_jump_host(&jump, at, account);
        if broken.is_some() {
            break;
        }
        (of, next) = (at.name.clone(), at.way.via.clone());
        found.push(hop);
    }
    found.reverse();
    jumps.reverse();
    if broken.is_some() {
        found.clear();
    }
    Way { found, jumps, broken }
}

/// What a jump host was found as.
pub(crate) trait JumpHost {
    fn parts(&self) -> (&Target, &Account);
}

impl JumpHost for (Target, Account) {
    fn parts(&self) -> (&Target, &Account) {
        (&self.0, &self.1)
    }
}

impl JumpHost for (&Target, &Account) {
    fn parts(&self) -> (&Target, &Account) {
        *self
    }
}

/// What a way is called in plans and entries.
pub(crate) fn named(via: Option<&Jump>) -> String {
    via.map_or_else(|| "directly".to_owned(), |jump| format!("via {jump}"))
}

/// The targets that are reached through this one, or through this account of it, in words: how many, and the first few.
fn behind(open: &Open, target: &TargetName, account: Option<&AccountName>) -> Option<String> {
    let through = |way: &sallyport_model::way::Way| {
        way.via
            .as_ref()
            .is_some_and(|jump| jump.target == *target && account.is_none_or(|account| jump.account == *account))
    };
    let mut names: Vec<_> = all::<Target>(&open.store, kinds::TARGET)
        .into_iter()
        .filter(|(_, found)| through(&found.value.way))
        .map(|(_, found)| found.value.name)
        .collect();
    names.sort();
    let first: Vec<_> = names.iter().take(5).map(TargetName::as_str).collect();
    (!names.is_empty()).then(|| format!("{} targets ({})", names.len(), first.join(", ")))
}

impl Control {
    /// Sees that the way to a target leads there as things are, and that the actor may write what is on it: whoever has
    /// others go over a jump host has its credential used.
    pub(crate) fn check_way(&self, op: &Op, open: &Open, target: &Target) -> Result<(), Error> {
        let way = walk(target, |jump| jump_host(open, jump));
        if let Some(broken) = way.broken {
            return Err(Error::usage(broken.to_string()));
        }
        way.found.iter().try_for_each(|(hop, _)| self.require_at(op, Right::InventoryWrite, hop))
    }

    /// Sees that nothing is reached through a target that is to go.
    pub(crate) fn unneeded(&self, open: &Open, target: &TargetName) -> Result<(), Error> {
        let Some(behind) = behind(open, target, None) else { return Ok(()) };
        let text = format!("`{target}` is the jump host of {behind}: give them another `via` first");
        Err(Denial::new(Kind::Conflict, text).into())
    }

    /// Sees that an account which others are reached through stays one that is logged in at.
    pub(crate) fn stays_fit(&self, open: &Open, target: &Target, account: &Account) -> Result<(), Error> {
        let Some(through) = &account.through else { return Ok(()) };
        let Some(behind) = behind(open, &target.name, Some(&account.name)) else { return Ok(()) };
        let text = format!(
            "`{0}@{2}` is the jump host of {behind}, and the account of a jump host is one that is logged in at: give them \
             another `via` first, such as `{1}@{2}`",
            account.name, through.account, target.name
        );
        Err(Denial::new(Kind::Conflict, text).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sallyport_model::inventory::{By, Class, Rest, Through, Tier};
    use sallyport_model::{AccountId, Env, TargetId};

    fn target(name: &str, via: Option<&str>) -> Target {
        Target {
            id: TargetId::new(&Env::system()),
            name: name.parse().unwrap(),
            protocol: if name.starts_with("pg") { "postgres" } else { "ssh" }.parse().unwrap(),
            host: "10.0.0.1".into(),
            port: 22,
            zone: "default".parse().unwrap(),
            environment: "default".parse().unwrap(),
            tier: Tier::One,
            tags: Default::default(),
            host_keys: Vec::new(),
            platform: Default::default(),
            way: sallyport_model::way::Way { via: via.map(|via| via.parse().unwrap()), ..Default::default() },
            rest: Rest::new(),
        }
    }

    /// The account of this name; `root` is become by way of `ops`.
    fn account(target: &Target, name: &AccountName) -> Account {
        let through = Through { account: "ops".parse().unwrap(), by: By::Su, rest: Rest::new() };
        Account {
            id: AccountId::new(&Env::system()),
            target: target.id,
            name: name.clone(),
            class: Class::Standard,
            owner: None,
            secret: None,
            certificate: None,
            through: (name.as_str() == "root").then_some(through),
            rest: Rest::new(),
        }
    }

    fn names(all: &[Target], of: &str) -> Result<Vec<String>, String> {
        let named = |name: &str| all.iter().find(|target| target.name.as_str() == name);
        let host = |jump: &Jump| named(jump.target.as_str()).map(|at| (at.clone(), account(at, &jump.account)));
        let way = walk(named(of).unwrap(), host);
        match way.broken {
            Some(broken) => Err(broken.to_string()),
            None => {
                let found: Vec<_> = way.found.iter().map(|(target, _)| target.name.as_str()).collect();
                let jumps: Vec<_> = way.jumps.iter().map(|jump| jump.target.as_str()).collect();
                assert_eq!(found, jumps);
                Ok(way.jumps.iter().map(ToString::to_string).collect())
            }
        }
    }

    #[test]
    fn a_way_is_followed_from_its_end_and_told_from_its_beginning() {
        let all = [target("outer", None), target("inner", Some("a@outer")), target("web-1", Some("b@inner"))];
        assert_eq!(names(&all, "web-1").unwrap(), ["a@outer", "b@inner"]);
        assert_eq!(names(&all, "outer").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_way_that_does_not_lead_there_says_why() {
        let mut all = vec![target("a", Some("x@b")), target("b", Some("x@a")), target("c", Some("x@c"))];
        all.push(target("pg", None));
        all.push(target("d", Some("x@pg")));
        all.push(target("e", Some("x@gone")));
        all.push(target("f", Some("x@e")));
        all.extend([target("h", None), target("g", Some("root@h"))]);
        for (of, wanted) in [
            ("a", "the way to `a` comes back to `x@a`"),
            ("c", "the way to `c` comes back to `x@c`"),
            ("d", "`x@pg` cannot be a jump host: it speaks postgres"),
            ("e", "`e` is reached through `x@gone`, and there is no such account"),
            ("f", "`e` is reached through `x@gone`"),
            ("g", "`root@h` cannot be a jump host: it is become by way of `ops@h`"),
        ] {
            let told = names(&all, of).unwrap_err();
            assert!(told.contains(wanted), "{told}");
        }
        let mut long = vec![target("h0", None)];
        for number in 1..=5_u8 {
            long.push(target(&format!("h{number}"), Some(&format!("x@h{}", number - 1))));
        }
        assert_eq!(names(&long, "h4").unwrap().len(), 4);
        assert!(names(&long, "h5").unwrap_err().contains("more than 4 jump hosts"));
    }

    #[test]
    fn what_is_missing_is_named_too_so_that_policies_are_not_passed_by() {
        let broken = walk(&target("e", Some("x@gone")), |_| None::<(Target, Account)>);
        assert_eq!((broken.found.len(), broken.jumps[0].to_string().as_str()), (0, "x@gone"));
    }
}
