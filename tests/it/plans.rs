//! Every frequent statement finds its rows with an index and touches few pages, whatever statistics the planner has.
//! `longshore-bench --plans 10000000` checks the same with ten million rows.

use longshore_rig::plans::{PlanMode, Plans, Server, Statistics, Step};

/// Enough rows that reading a whole table exceeds the limits, and that the planner never prefers it.
const ROWS: i64 = 100_000;

/// Explains every frequent statement in every plan mode and collects the exceeded limits.
async fn faults(statistics: Statistics, seq_scans: bool) -> Vec<String> {
    let server = Server::start().await.expect("a server");
    let mut plans =
        Plans::fill(&server.postgres, "plans", ROWS, seq_scans, statistics).await.expect("a filled database");
    let mut faults = Vec::new();
    for mode in PlanMode::ALL {
        let steps = plans.explain(mode).await.expect("plans of the hot statements");
        faults.extend(steps.iter().filter_map(Step::fault).map(|fault| format!("{mode:?} plans: {fault}")));
    }
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hot_statement_finds_its_rows_by_an_index_and_touches_few_pages() {
    let faults = faults(Statistics::Current, false).await;
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Goal: a first import or export is not quadratic. Method: the tables are analyzed while they are empty and then
/// filled; nothing is switched off in the planner.
#[tokio::test(flavor = "multi_thread")]
async fn every_hot_statement_touches_few_pages_of_tables_that_grew_from_empty_since_they_were_analyzed() {
    let faults = faults(Statistics::OfEmptyTables, true).await;
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The same, but with statistics of a few unrelated rows.
#[tokio::test(flavor = "multi_thread")]
async fn every_hot_statement_touches_few_pages_of_tables_that_grew_from_a_few_rows_since_they_were_analyzed() {
    let faults = faults(Statistics::OfFewRows, true).await;
    assert!(faults.is_empty(), "{faults:#?}");
}
