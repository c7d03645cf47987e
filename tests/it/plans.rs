//! Every hot statement finds its rows by an index and touches few pages; `longshore-bench --plans 10000000` asks the
//! same of ten million rows.

use longshore_tests::plans::{Plans, Server, Step};

/// Enough that a table read whole shows, and that the planner never prefers it.
const ROWS: i64 = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn every_hot_statement_finds_its_rows_by_an_index_and_touches_few_pages() {
    let server = Server::start().await.expect("a server");
    let plans = Plans::fill(&server.postgres, "plans", ROWS, false).await.expect("a filled database");
    let steps = plans.explain().await.expect("plans of the hot statements");
    let faults: Vec<String> = steps.iter().filter_map(Step::fault).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}
