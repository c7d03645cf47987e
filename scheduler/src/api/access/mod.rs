//! Access control: decides who may call which route.
//!
//! Each route is added to [`Routes`] with its [`Policy`], and this is the only way into the part of the router that
//! [`authenticate()`] protects. So a route without a role does not compile, and there is no list of paths that could be
//! outdated. Before a request counts towards any limit, `authenticate` checks its token, or the signature of its
//! resolve link if the policy accepts links. Handlers extract the result: a [`Caller`] is a token, an [`Access`] is a
//! token or a link. Each handler checks access to rows with [`Caller::visible`], because only the handler knows
//! their project.

mod authenticate;
mod caller;
mod host_credentials;
mod host_user;
mod identity;
mod known_tokens;
mod known_users;
mod link;
mod policy;
mod questions;
mod role;
mod routes;

pub(super) use authenticate::{Access, authenticate};
pub(super) use caller::Caller;
pub(super) use host_user::HostUser;
pub use host_user::LabelStudioAccess;
pub(crate) use known_tokens::LOOKUPS;
pub(super) use known_tokens::{KnownTokens, TokenKey};
pub(super) use link::{LinkQuery, LinkTarget, make_link};
pub(super) use policy::{HostOwned, Policy, Work};
pub(super) use questions::LABEL_STUDIO_PATIENCE;
pub(super) use role::Role;
pub(super) use routes::{Policies, Routes, attach_policy};

#[cfg(test)]
mod tests;
