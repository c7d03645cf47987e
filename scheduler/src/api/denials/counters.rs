//! The counters of denied requests, and how many there may be.
//!
//! Clients without a known token, clients with one, and tokens have budgets of their own. So a flood of guesses from many
//! addresses takes no address from the denials of a known token, and one token takes none from another. A counter that
//! does not fit loses its address first; the token, by which an operator knows what to revoke, stays.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::api::client_address::ClientAddress;
use crate::api::error::{Denial, DeniedAccess};

/// The most counters of clients without a known token. Further clients are counted together, without their address. With
/// more, an attack from many addresses would write more rows: this many write 370,000 rows a day.
pub(super) const MOST_CLIENTS: usize = 256;

/// The most counters with an address of one token. A token is used from few addresses; one that is denied from this many
/// has leaked, and more of them say no more.
pub(super) const MOST_CLIENTS_OF_TOKEN: usize = 16;

/// The most counters with an address of all tokens, as many as of clients without one.
pub(super) const MOST_CLIENTS_OF_TOKENS: usize = 256;

/// The most counters of tokens without an address. Only an admin of all projects makes tokens, so there are rarely as many.
pub(super) const MOST_TOKENS: usize = 1_024;

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) address: ClientAddress,
    pub(super) token: Option<i64>,
    pub(super) denial: Denial,
}

/// A counter.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) token_name: Option<String>,
    /// Requests that are not in the audit yet, and the time of the first one.
    pub(super) unwritten: u64,
    pub(super) since: Timestamp,
    /// When the next row may be written.
    pub(super) next_row: Instant,
}

/// The counters, by budget.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Without a token. Those without an address too have no budget: there is one for each reason.
    clients: HashMap<Key, Counter>,
    /// With a token and an address.
    clients_of_tokens: HashMap<Key, Counter>,
    /// With a token and without an address.
    tokens: HashMap<Key, Counter>,
}

impl Counters {
    /// Counts a request, with its address and its token as far as the budgets allow.
    pub(super) fn count(&mut self, address: ClientAddress, denied: &DeniedAccess) {
        let token = denied.token.as_ref();
        let whole = Key { address: address.network(), token: token.map(|token| token.id), denial: denied.denial };
        let of_token = Key { address: ClientAddress(None), ..whole };
        let of_denial = Key { token: None, ..of_token };
        let key = [whole, of_token].into_iter().find(|key| self.has_room(key)).unwrap_or(of_denial);
        let counter = match self.counters_like_mut(&key).entry(key) {
            Entry::Occupied(counter) => counter.into_mut(),
            Entry::Vacant(room) => room.insert(Counter {
                token_name: token.filter(|_| key.token.is_some()).map(|token| token.name.clone()),
                unwritten: 0,
                since: Timestamp::now(),
                next_row: Instant::now(),
            }),
        };
        if counter.unwritten == 0 {
            counter.since = Timestamp::now();
        }
        counter.unwritten += 1;
    }

    /// Whether the counter exists, or one more fits.
    fn has_room(&self, key: &Key) -> bool {
        let counters = self.counters_like(key);
        let others = counters.len();
        counters.contains_key(key)
            || match (key.token, key.address.0) {
                (None, None) => true,
                (None, Some(_)) => others < MOST_CLIENTS,
                (Some(_), None) => others < MOST_TOKENS,
                (Some(_), Some(_)) => {
                    let of_token = || counters.keys().filter(|other| other.token == key.token).count();
                    others < MOST_CLIENTS_OF_TOKENS && of_token() < MOST_CLIENTS_OF_TOKEN
                }
            }
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Counter> {
        self.counters_like_mut(key).get_mut(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Counter)> {
        [&self.clients, &self.clients_of_tokens, &self.tokens].into_iter().flatten()
    }

    /// Keeps the counters that satisfy the condition.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&Counter) -> bool) {
        for counters in [&mut self.clients, &mut self.clients_of_tokens, &mut self.tokens] {
            counters.retain(|_, counter| is_kept(counter));
        }
    }

    fn counters_like(&self, key: &Key) -> &HashMap<Key, Counter> {
        match (key.token, key.address.0) {
            (None, _) => &self.clients,
            (Some(_), Some(_)) => &self.clients_of_tokens,
            (Some(_), None) => &self.tokens,
        }
    }

    fn counters_like_mut(&mut self, key: &Key) -> &mut HashMap<Key, Counter> {
        match (key.token, key.address.0) {
            (None, _) => &mut self.clients,
            (Some(_), Some(_)) => &mut self.clients_of_tokens,
            (Some(_), None) => &mut self.tokens,
        }
    }
}
