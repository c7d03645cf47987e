use super::super::error::TokenName;
use super::counters::{MOST_CLIENTS, MOST_CLIENTS_OF_TOKEN, MOST_CLIENTS_OF_TOKENS, MOST_TOKENS};
use super::*;

fn denials() -> Denials {
    Denials::register(&Registry::new()).unwrap()
}

fn address(text: &str) -> ClientAddress {
    ClientAddress(Some(text.parse().unwrap()))
}

fn denied(denial: Denial) -> DeniedAccess {
    DeniedAccess { denial, token: None }
}

fn counts(rows: &[DeniedRequests]) -> Vec<u64> {
    rows.iter().map(|row| row.count).collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_denied_request_is_due_at_once_and_the_next_ones_after_a_minute() {
    let denials = denials();
    denials.count(address("192.0.2.1"), &denied(Denial::UnknownToken));
    let rows = denials.due(false);
    assert_eq!(counts(&rows), [1]);
    assert_eq!(counts(&denials.due(false)), [1], "it was not written");
    denials.count(address("192.0.2.1"), &denied(Denial::UnknownToken));
    denials.written(&rows);
    for _ in 0..1_000 {
        denials.count(address("192.0.2.1"), &denied(Denial::UnknownToken));
    }
    assert_eq!(denials.due(false), []);
    assert_eq!(counts(&denials.due(true)), [1_001], "at the end of the process");
    tokio::time::advance(ROW_PERIOD).await;
    let rows = denials.due(false);
    assert_eq!(counts(&rows), [1_001]);
    denials.written(&rows);
    tokio::time::advance(ROW_PERIOD).await;
    assert_eq!(denials.due(false), []);
    assert_eq!(denials.0.lock().iter().count(), 0);
}

#[test]
fn clients_tokens_and_reasons_are_counted_apart_and_many_clients_together() {
    let denials = denials();
    let token = Some(TokenName { id: 7, name: "ci".to_owned() });
    denials.count(address("192.0.2.1"), &denied(Denial::UnknownToken));
    denials.count(address("192.0.2.1"), &denied(Denial::MissingToken));
    denials.count(address("192.0.2.1"), &DeniedAccess { denial: Denial::Forbidden, token });
    // One customer has a whole network of IPv6 addresses.
    denials.count(address("2001:db8::1"), &denied(Denial::UnknownToken));
    denials.count(address("2001:db8::2"), &denied(Denial::UnknownToken));
    let mut rows = denials.due(false);
    rows.sort_by_key(|row| row.count);
    assert_eq!(counts(&rows), [1, 1, 1, 2]);
    assert!(rows.iter().any(|row| row.token == Some((7, "ci".to_owned()))));
    for client in 0..10_000_u32 {
        denials.count(ClientAddress(Some(client.to_be_bytes().into())), &denied(Denial::InvalidLink));
    }
    let rows = denials.due(false);
    assert!(rows.len() <= MOST_CLIENTS + MOST_CLIENTS_OF_TOKEN + Denial::ALL.len(), "{}", rows.len());
    assert_eq!(counts(&rows).iter().sum::<u64>(), 10_005);
}

fn of_token(id: i64) -> DeniedAccess {
    DeniedAccess { denial: Denial::Forbidden, token: Some(TokenName { id, name: format!("token {id}") }) }
}

fn client_of(number: u32) -> ClientAddress {
    ClientAddress(Some(number.to_be_bytes().into()))
}

/// Goal: a known token that is denied is named whatever else happens. Method: the budget of clients is full of guesses
/// before the token is used.
#[test]
fn guesses_from_many_addresses_hide_neither_the_token_nor_the_address_of_another_client() {
    let denials = denials();
    for client in 0..10_000 {
        denials.count(client_of(client), &denied(Denial::UnknownToken));
    }
    denials.count(address("192.0.2.1"), &of_token(7));
    let rows = denials.due(false);
    let [row] = &rows.iter().filter(|row| row.denial == Denial::Forbidden).collect::<Vec<_>>()[..] else {
        panic!("one counter: {rows:?}")
    };
    assert_eq!((row.address, row.token.as_ref()), (address("192.0.2.1"), Some(&(7, "token 7".to_owned()))));
}

/// Goal: one leaked token, used from everywhere, hides no other, and all together stay bounded.
#[test]
fn a_token_that_is_denied_everywhere_keeps_its_name_and_leaves_room_for_others() {
    let denials = denials();
    for client in 0..10_000 {
        denials.count(client_of(client), &of_token(7));
    }
    denials.count(address("192.0.2.1"), &of_token(8));
    let rows = denials.due(false);
    let of = |id: i64| rows.iter().filter(move |row| row.token.as_ref().is_some_and(|token| token.0 == id));
    assert_eq!((of(7).count(), of(7).map(|row| row.count).sum::<u64>()), (MOST_CLIENTS_OF_TOKEN + 1, 10_000));
    assert_eq!(of(8).map(|row| row.address).collect::<Vec<_>>(), [address("192.0.2.1")]);
    for token in 0..10_000 {
        denials.count(address("192.0.2.1"), &of_token(token));
    }
    let rows = denials.due(false);
    assert!(rows.len() <= MOST_CLIENTS_OF_TOKENS + MOST_TOKENS + 1, "{}", rows.len());
    assert_eq!(counts(&rows).iter().sum::<u64>(), 20_001);
    denials.written(&rows);
    assert_eq!(denials.due(true), [], "each counter is found again");
}
