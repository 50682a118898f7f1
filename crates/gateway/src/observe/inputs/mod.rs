//! What a recording keeps of what clients write, channel by channel: keys as far as they were shown, scripts, and data by its size.

mod script;

use super::echo::{Echo, Kept};
use sallyport_model::access::Channel;
use sallyport_model::limits::Detail;
use sallyport_recording::WhatRef;
use script::Script;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// So much of data that is not kept is told at once, in bytes.
const TOLD: u64 = 1 << 20;

/// The channels of one session whose input is not simply kept.
#[derive(Default)]
pub(crate) struct Inputs {
    /// Whether data is kept.
    detail: Detail,
    /// With whether it is a terminal.
    channels: Mutex<HashMap<u32, (bool, Arc<Input>)>>,
}

/// One channel. It is held while what was settled is being recorded, so that its order stays.
pub(crate) type Input = tokio::sync::Mutex<Sort>;

/// What a client writes into one channel.
pub(crate) enum Sort {
    /// Keys of a terminal.
    Keys(Box<Echo>),
    /// Commands for a shell without a terminal.
    Script(Script),
    /// Data for a program: so many bytes that were not told yet.
    Data(u64),
}

/// What is recorded of it.
pub(crate) enum Record {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Not what it was; see [`sallyport_recording::What::Hidden`].
    Hidden(u64),
}

impl Record {
    pub(crate) fn what(&self) -> WhatRef<'_> {
        match self {
            Self::Bytes(bytes) => WhatRef::Input(bytes),
            Self::Hidden(bytes) => WhatRef::Hidden(*bytes),
        }
    }
}

impl Inputs {
    /// For a session that is recorded so.
    pub(crate) fn new(detail: Detail) -> Self {
        Self { detail, channels: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, (bool, Arc<Input>)>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is recorded of a channel that says what is written into it.
    pub(crate) fn note(&self, channel: u32, what: &WhatRef<'_>) {
        let sort = match what {
            WhatRef::Open { kind: Channel::Shell, .. } => Sort::Script(Script::default()),
            WhatRef::Open { kind: Channel::Exec, detail } if script::reads_commands(detail) => {
                Sort::Script(Script::default())
            }
            WhatRef::Open { kind: Channel::Exec, detail } if script::reads_secret(detail) => Sort::Data(0),
            WhatRef::Open { kind: Channel::Exec | Channel::Subsystem, .. } if self.detail == Detail::Standard => {
                Sort::Data(0)
            }
            // A terminal.
            WhatRef::Resize { .. } => {
                let mut channels = self.lock();
                let terminal = channels.get(&channel).is_some_and(|(terminal, _)| *terminal);
                if !terminal {
                    channels.insert(channel, (true, Arc::new(Input::new(Sort::Keys(Box::default())))));
                }
                return;
            }
            _ => return,
        };
        self.lock().insert(channel, (false, Arc::new(Input::new(sort))));
    }

    /// The channel, where what is written into it is not simply kept, and whether it is a terminal.
    pub(crate) fn of(&self, channel: u32) -> Option<(bool, Arc<Input>)> {
        self.lock().get(&channel).cloned()
    }

    /// The channel is over.
    pub(crate) fn close(&self, channel: u32) {
        self.lock().remove(&channel);
    }
}

impl Sort {
    /// The client wrote this.
    pub(crate) fn written(&mut self, bytes: &[u8]) -> Vec<Record> {
        match self {
            Self::Keys(echo) => records(echo.typed(bytes, Instant::now())),
            Self::Script(script) => records(script.written(bytes)),
            Self::Data(untold) => {
                *untold = untold.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                if *untold < TOLD { Vec::new() } else { vec![Record::Hidden(std::mem::take(untold))] }
            }
        }
    }

    /// Whether what a client writes next answers to who asked for a secret in a script.
    pub(crate) fn answers(&self) -> bool {
        matches!(self, Self::Script(script) if script.answers())
    }

    /// The target wrote this.
    pub(crate) fn output(&mut self, bytes: &[u8]) -> Vec<Record> {
        match self {
            Self::Keys(echo) => records(echo.output(bytes, Instant::now())),
            Self::Script(script) => {
                script.output(bytes);
                Vec::new()
            }
            Self::Data(_) => Vec::new(),
        }
    }

    /// Nothing comes any more.
    pub(crate) fn end(&mut self) -> Vec<Record> {
        match self {
            Self::Keys(echo) => records(echo.end()),
            Self::Script(_) | Self::Data(0) => Vec::new(),
            Self::Data(untold) => vec![Record::Hidden(std::mem::take(untold))],
        }
    }
}

fn records(kept: Vec<Kept>) -> Vec<Record> {
    let record = |kept| match kept {
        Kept::Shown(bytes) => Record::Bytes(bytes),
        Kept::Hidden => Record::Hidden(0),
    };
    kept.into_iter().map(record).collect()
}

#[cfg(test)]
mod tests;
