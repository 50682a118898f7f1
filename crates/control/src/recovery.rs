//! The lost last administrator: somebody on the host with a seal slot lends the rights to an identity, for hours at most.

use crate::control::{Open, identity_of, put};
use crate::directory::{all, kinds, load};
use crate::identity::NewToken;
use crate::quorum::Shared;
use crate::{Actor, Control, Error};
use sallyport_model::access::Denial;
use sallyport_model::inventory::{Identity, IdentityKind, Rest, Token};
use sallyport_model::name::Label;
use sallyport_model::{Handle, IdentityId, Kind, Timestamp};
use sallyport_store::{Change, DocId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// Fixed id of the document.
const RECOVERY: &str = "recovery";
/// What is lent: the role, and the tier that may change anything.
pub(crate) const ROLES: [&str; 2] = ["sallyport:admin", "tier0-admin"];
/// The longest time that it is lent for.
const LONGEST: Duration = Duration::from_secs(8 * 3600);

/// Rights that were lent, as a document. A later recovery takes its place.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Recovery {
    identity: IdentityId,
    groups: BTreeSet<Label>,
    until: Timestamp,
    #[serde(flatten)]
    rest: Rest,
}

/// Whom to give the rights of an administrator, and for how long.
#[derive(Clone, Debug)]
pub struct Recover {
    /// Who gets them; made where there is none of this handle.
    pub handle: Handle,
    /// How long, at most 8 hours.
    pub life: Duration,
    /// Also where an administrator can still sign in.
    pub force: bool,
}

impl Control {
    /// Lends an identity the rights of an administrator, and makes a token for it. The vault of this control plane was
    /// opened with a seal slot on the host: that is the authority.
    ///
    /// # Errors
    /// When an administrator can still sign in, custodians hold shares and the vault was opened otherwise, the time is too long, or the identity may do nothing.
    pub async fn recover_admin(&self, recover: &Recover) -> Result<NewToken, Error> {
        let open = self.opened()?;
        if recover.life.is_zero() || recover.life > LONGEST {
            return Err(Error::usage("rights are lent for 1 second to 8 hours: give `--ttl` within that"));
        }
        let behind = Shared::stored(&open.store).behind(open.opened)?;
        let able = self.able(&open);
        if let Some(who) = able.first().filter(|_| !recover.force) {
            return Err(Denial::new(
                Kind::Denied,
                format!(
                    "`{who}` is an administrator and can sign in: ask them, or say `--force` if they cannot be asked"
                ),
            )
            .into());
        }
        let known = identity_of(&open, &recover.handle);
        if known.as_ref().is_some_and(|found| found.disabled || found.retired) {
            return Err(Error::usage(format!("`{0}` is disabled or was removed: name somebody else", recover.handle)));
        }
        let until = self.env.now().plus(recover.life);
        let groups = ROLES.iter().map(|g| g.parse()).collect::<Result<_, _>>().map_err(Error::failed)?;
        let identity = known.clone().unwrap_or_else(|| Identity {
            id: IdentityId::new(&self.env),
            handle: recover.handle.clone(),
            kind: IdentityKind::User,
            groups: BTreeSet::new(),
            ssh_keys: Vec::new(),
            disabled: false,
            retired: false,
            rest: Rest::new(),
        });
        let was = open.store.working(|set| set.version(&DocId::new(RECOVERY)));
        let body = Recovery { identity: identity.id, groups, until, rest: Rest::new() };
        let facts = [
            ("until", until.to_string()),
            ("groups", ROLES.join(" ")),
            ("quorum", behind),
            ("made", known.is_none().to_string()),
            ("able", able.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
        ];
        let facts = facts.each_ref().map(|(k, v)| (*k, v.as_str()));
        let draft = self.draft(&Actor::Host, "admin.recovered", &recover.handle, &facts);
        let mut change = Change::entry(draft).put(put(RECOVERY, was, kinds::SETTING, &body)?);
        if known.is_none() {
            change = change.put(put(identity.id, 0, kinds::IDENTITY, &identity)?);
        }
        open.store.commit(change).await?;
        tracing::warn!(handle = %recover.handle, %until, "The rights of an administrator were lent on the host");
        self.mint(&Actor::Host, &identity, recover.life, "recovery of an administrator").await
    }

    /// Administrators who can sign in: enabled, with a key or a living token.
    fn able(&self, open: &Open) -> Vec<Handle> {
        let now = self.env.now();
        let tokens: BTreeSet<IdentityId> = all::<Token>(&open.store, kinds::TOKEN)
            .into_iter()
            .filter(|(_, token)| token.value.expires > now)
            .map(|(_, token)| token.value.identity)
            .collect();
        all::<Identity>(&open.store, kinds::IDENTITY)
            .into_iter()
            .map(|(_, identity)| identity.value)
            .filter(|who| !who.disabled && ROLES.iter().all(|role| who.groups.iter().any(|g| g.as_str() == *role)))
            .filter(|who| !who.ssh_keys.is_empty() || tokens.contains(&who.id))
            .map(|who| who.handle)
            .collect()
    }

    /// Until when rights are lent, where they are.
    #[must_use]
    pub fn recovery(&self) -> Option<Timestamp> {
        let open = self.opened().ok()?;
        living(&open).map(|recovery| recovery.until)
    }
}

fn living(open: &Open) -> Option<Recovery> {
    let found = load::<Recovery>(&open.store, &DocId::new(RECOVERY), kinds::SETTING)?.value;
    (open.env.now() < found.until).then_some(found)
}

/// Adds what is lent to an identity, in this moment.
pub(crate) fn lent(open: &Open, mut identity: Identity) -> Identity {
    if let Some(recovery) = living(open).filter(|recovery| recovery.identity == identity.id) {
        identity.groups.extend(recovery.groups);
    }
    identity
}
