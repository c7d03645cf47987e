//! Who may call what: the one place that decides it.
//!
//! A route states its [`Policy`] where it is added to [`Routes`], and nothing else leads into the part of the router
//! that [`authenticate`] guards. So a route without a role does not compile, and no list of paths can be out of date.
//! `authenticate` checks a token, or the signature of a resolve link where the policy takes one, before a request
//! counts towards any limit. Handlers receive the result: [`Caller`] stands for a token alone, [`Access`] for a token
//! or a link. Which rows a caller sees is decided by [`Caller::sees`] in each handler, as only it knows the project.

mod authenticate;
mod caller;
mod known_tokens;
mod link;
mod policy;
mod role;
mod routes;

pub(super) use authenticate::{Access, authenticate};
pub(super) use caller::Caller;
pub(super) use known_tokens::KnownTokens;
pub(crate) use known_tokens::LOOKUPS;
pub(super) use link::{LinkQuery, make_link};
pub(super) use policy::{Policy, Work};
pub(super) use role::Role;
pub(super) use routes::{Policies, Routes, attach_policy};

#[cfg(test)]
mod tests;
