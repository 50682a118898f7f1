//! What is live, as events: sessions that begin and end, how the installation is, and screens for the wall.
//!
//! Each stream says at first how things are, then what changed, at most once a second: who follows slowly misses nothing but
//! the steps in between.

use crate::App;
use crate::auth::Caller;
use crate::convert;
use crate::problem::Problem;
use crate::status;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use sallyport_control::{Followed, OnWall, Op, Wall};
use sallyport_model::door::Screened;
use sallyport_wire as wire;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often it is looked for changes.
const EVERY: Duration = Duration::from_secs(1);

type Events = Result<Event, Infallible>;

/// Sessions that begin and end, as `sessions` with the rows that changed, and the state of the installation, as `status`.
///
/// The first events are the present state. One's own sessions, or all of them by right.
#[utoipa::path(get, path = "/api/v1/live", responses((status = 200, content_type = "text/event-stream", body = Vec<wire::Session>)), tag = "sessions")]
pub(crate) async fn live(State(app): State<App>, caller: Caller) -> Sse<impl Stream<Item = Events>> {
    let following = Following {
        app,
        op: caller.op,
        due: every(),
        sessions: Followed::default(),
        status: String::new(),
        ready: VecDeque::new(),
        first: true,
    };
    let stream = unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((Ok(event), following))
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}

fn every() -> Interval {
    let mut due = interval(EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    due
}

struct Following {
    app: App,
    op: Op,
    due: Interval,
    sessions: Followed,
    status: String,
    ready: VecDeque<Event>,
    first: bool,
}

impl Following {
    /// The next event; `None` once the caller may follow no more.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            self.due.tick().await;
            let changes = self.app.control.session_changes(&self.op, &mut self.sessions).await.ok()?;
            if std::mem::take(&mut self.first) || !changes.is_empty() {
                let row = |line| convert::session(&self.app.control, &self.op, line);
                let rows: Vec<wire::Session> = changes.into_iter().map(row).collect();
                self.ready.extend(Event::default().event("sessions").json_data(rows));
            }
            let status = serde_json::to_string(&status::now(&self.app)).unwrap_or_default();
            if status != self.status {
                self.ready.push_back(Event::default().event("status").data(&status));
                self.status = status;
            }
        }
    }
}

/// The screens of running sessions as text, as `screen`: all of them at first, then those that changed.
///
/// Where those of a node do not come, `away` has the names of all nodes of which that is so, each time that it changes; they are
/// connected again, and nobody need ask anew.
#[utoipa::path(get, path = "/api/v1/live/screens", responses((status = 200, content_type = "text/event-stream", body = wire::ScreenText)), tag = "sessions")]
pub(crate) async fn screens(
    State(app): State<App>,
    caller: Caller,
) -> Result<Sse<impl Stream<Item = Events>>, Problem> {
    let wall = app.control.watch_screens(&caller.op).await?;
    let stream = unfold((wall, app, caller.op), |(mut wall, app, op): (Wall, App, Op)| async move {
        loop {
            let seen = wall.next().await?;
            // Nothing more is shown once the watcher is signed out or has lost the right.
            if !app.control.may_watch_on(&op) {
                return None;
            }
            let event = match seen {
                OnWall::Away(nodes) => Event::default().event("away").json_data(nodes),
                OnWall::Screen(screen) => {
                    let Screened { session, size, lines } = *screen;
                    let text =
                        wire::ScreenText { session: session.to_string(), cols: size.cols, rows: size.rows, lines };
                    Event::default().event("screen").json_data(text)
                }
            };
            if let Ok(event) = event {
                return Some((Ok(event), (wall, app, op)));
            }
        }
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}
