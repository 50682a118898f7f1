//! `decide(&PolicySet, &Facts, Act) -> Decision`: Cedar, preconditions, limits, explain. No I/O.
//!
//! A [`PolicySet`] is loaded from texts, all or nothing: parsed, validated strictly against the
//! schema, its annotations checked against a closed table, its preconditions compiled into
//! conditions, and indexed by scope. [`decide()`] evaluates the slice that can matter; that the slice
//! decides as the whole set would is a property test, as is that [`reach()`] equals decisions in a loop.
//!
//! ```
//! use sallyport_policy::PolicySet;
//!
//! let text = r#"
//!     @id("web") @max_duration("1h")
//!     permit (principal in Group::"ops", action == Action::"connect", resource)
//!     when { resource.tags.contains("web") };
//! "#;
//! let set = PolicySet::load(&[("ops.cedar".into(), text.into())])?;
//! assert_eq!(set.hash().len(), 64);
//!
//! let typo = text.replace("@max_duration", "@max_duratoin");
//! let errors = PolicySet::load(&[("ops.cedar".into(), typo)]).err().unwrap();
//! assert!(errors.to_string().contains("did you mean @max_duration?"));
//! # Ok::<(), sallyport_policy::LoadErrors>(())
//! ```

#![forbid(unsafe_code)]

pub mod act;
pub mod decide;
mod demand;
pub mod explain;
pub mod facts;
#[cfg(test)]
mod fixture;
mod index;
pub mod load;
pub mod reach;
pub mod rules;
mod scope;
mod set;
mod terms;

pub use act::{Act, Right};
pub use decide::{Decision, Reason, Standing, conceivable, decide, standing};

pub use demand::Demand;
pub use explain::{Explanation, explain};
pub use facts::{Facts, Place};
pub use load::{LoadError, LoadErrors};

pub use reach::{Inventory, Standings, reach, standings};
pub use set::{Misread, PolicySet};

/// The schema that every policy is validated against, in Cedar's schema language.
pub const SCHEMA: &str = include_str!("schema.cedarschema");

/// The policies that are always there, in Cedar.
pub const BUILTIN: &str = include_str!("builtin.cedar");
