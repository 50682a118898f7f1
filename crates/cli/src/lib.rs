//! Commands, over wire only; offline verify and play.
