//! The way to a recording's target: its header is older than the decision that knows it, so the first marks have it.

use crate::Facts;
use crate::event::{Event, What};

/// The sort of mark that names the jump hosts, the outermost first.
pub const VIA: &str = "via";
/// The sort of mark that names the account that was logged in at and became the recording's, and how.
pub const THROUGH: &str = "through";

/// Whether an event is a mark of the session's own, of which the way stands before all else.
pub(crate) const fn is_own_mark(event: &Event) -> bool {
    event.channel == 0 && matches!(event.what, What::Mark { .. })
}

/// Where a session went, by the events from its beginning: `root@web-1, through deploy by sudo, via ops@outer, ops@inner`.
#[must_use]
pub fn place(facts: &Facts, events: &[Event]) -> String {
    let mut place = format!("{}@{}", facts.account, facts.target);
    for wanted in [THROUGH, VIA] {
        let said = events.iter().take_while(|event| is_own_mark(event)).find_map(|event| match &event.what {
            What::Mark { kind, text } if kind == wanted => Some(text),
            _ => None,
        });
        if let Some(text) = said {
            place.push_str(&format!(", {wanted} {text}"));
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::facts;
    use sallyport_model::Env;
    use sallyport_model::access::Channel;

    fn mark(channel: u32, kind: &str, text: &str) -> Event {
        Event { at: 1, channel, what: What::Mark { kind: kind.into(), text: text.into() } }
    }

    #[test]
    fn a_place_names_its_way_as_the_first_marks_do_and_no_other_mark() {
        let facts = facts(&Env::system());
        let open = Event { at: 2, channel: 1, what: What::Open { kind: Channel::Shell, detail: String::new() } };
        let (via, through) = (mark(0, VIA, "ops@outer, ops@inner"), mark(0, THROUGH, "deploy by sudo"));
        let told = |events: &[&Event]| place(&facts, &events.iter().copied().cloned().collect::<Vec<_>>());
        assert_eq!(told(&[&open]), "root@web-1");
        assert_eq!(told(&[&via, &open]), "root@web-1, via ops@outer, ops@inner");
        assert_eq!(told(&[&via, &through, &open]), "root@web-1, through deploy by sudo, via ops@outer, ops@inner");
        // What comes later, or of a channel, is of something else.
        assert_eq!(told(&[&open, &via]), "root@web-1");
        assert_eq!(told(&[&mark(1, VIA, "evil@elsewhere"), &open]), "root@web-1");
    }
}
