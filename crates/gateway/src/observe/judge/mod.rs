//! Rules over commands, kept where commands cross: first the entry in the ledger, then what the rule says.

use super::tap::Stop;
use crate::authority::{Authority, PATIENCE};
use sallyport_model::access::{Denial, Terms};
use sallyport_model::authority::{About, Call, Judged, Reply};
use sallyport_model::rules::{Act, Guarantee};
use sallyport_model::{Kind, SessionId};
use sallyport_statements::{Finding, Rules};
use std::sync::Arc;
use std::time::Duration;

/// Longest command and reason that control is told, in bytes.
const TOLD: usize = 1024;

/// Judges the commands of one session.
pub(crate) struct Judge {
    rules: Rules,
    session: SessionId,
    authority: Arc<dyn Authority>,
    hold: Duration,
}

impl Judge {
    /// For a session's terms; none where no rules apply to it.
    ///
    /// # Errors
    /// When its limits name a rule set that did not come with them: what nobody can keep is not begun.
    pub(crate) fn new(
        terms: &Terms,
        session: SessionId,
        authority: Arc<dyn Authority>,
    ) -> Result<Option<Self>, Denial> {
        let known = |name: &&String| terms.rules.iter().any(|set| set.name.as_str() == name.as_str());
        if let Some(name) = terms.limits.commands.iter().find(|name| !known(name)) {
            let text = format!(
                "the policy names the rule set {name}, which did not come with the permission; ask an administrator to apply the policies again"
            );
            return Err(Denial::new(Kind::Failed, text));
        }
        let rules = Rules::new(&terms.rules);
        let hold = Duration::from_secs(terms.limits.hold.into());
        let files = terms.rules.iter().any(|set| !set.files.is_empty());
        Ok((files || !rules.is_empty()).then_some(Self { rules, session, authority, hold }))
    }

    /// What judges commands; it may be empty, where rules are about files alone.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Does what a finding says. Nothing is passed before its entry is durable.
    ///
    /// # Errors
    /// When the command must not go on.
    pub(crate) async fn keep(&self, about: About, finding: &Finding, guarantee: Guarantee) -> Result<(), Stop> {
        let cut = |text: &str| text.get(..text.floor_char_boundary(TOLD)).unwrap_or_default().to_owned();
        let judged = Judged {
            session: self.session,
            about,
            act: finding.act,
            rule: finding.rule.clone(),
            why: cut(&finding.why),
            guarantee,
            command: cut(&finding.command),
        };
        let patience = if finding.act == Act::Hold { self.hold.max(PATIENCE) } else { PATIENCE };
        let answered = self.authority.call(Call::Judged(judged), patience).await;
        let blocked = || format!("blocked by the rule {} ({}): {}", finding.rule, guarantee.word(), finding.why);
        match (finding.act, answered) {
            (Act::Block, _) => Err(Stop::Refused(blocked())),
            (Act::Terminate, _) => Err(Stop::Blocked(blocked())),
            (_, Ok(Reply::Done(_))) => Ok(()),
            (Act::Hold, Ok(Reply::Denied(denial))) => {
                Err(Stop::Refused(format!("held by the rule {} ({}): {}", finding.rule, finding.why, denial.message)))
            }
            (_, Ok(Reply::Denied(denial))) => Err(Stop::Refused(format!("not run: {}", denial.message))),
            (_, answered) => {
                if let Err(error) = answered {
                    tracing::error!(%error, session = %self.session, "a command's entry was not answered");
                }
                Err(Stop::Refused("not run: the ledger has no entry of it; try again shortly".into()))
            }
        }
    }
}
