//! What annotations of objects refer to: users, parents, and unique IDs.
//!
//! Label Studio checks these only when a transaction commits, where a failure names no object. So they are looked up
//! before, page by page. What changes between the look-up and the commit is found by the constraints themselves.

use std::collections::{BTreeSet, HashSet};

use tokio_postgres::types::{FromSqlOwned, ToSql};
use uuid::Uuid;

use crate::host::ObjectReferences;
use crate::{GenericClient, Result};

/// IDs of one query. More would only make its parameters larger.
const CHUNK_IDS: usize = 10_000;

/// The objects that Label Studio would refuse: by their index, in ascending order, with a sentence for the user.
pub(super) async fn refusals(
    client: &impl GenericClient,
    objects: &[ObjectReferences],
) -> Result<Vec<(usize, String)>> {
    let users = missing(client, "htx_user", objects.iter().flat_map(|object| &object.users).copied()).await?;
    let parents = objects.iter().flat_map(|object| &object.predictions).copied().map(i64::from);
    let predictions = missing(client, "prediction", parents).await?;
    let parents = objects.iter().flat_map(|object| &object.annotations).copied().map(i64::from);
    let annotations = missing(client, "task_completion", parents).await?;
    let mut taken = taken(client, objects.iter().flat_map(|object| &object.unique_ids).copied()).await?;
    let mut refused = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        match fault(object, &users, &predictions, &annotations, &taken) {
            Some(fault) => refused.push((index, fault)),
            None => taken.extend(&object.unique_ids),
        }
    }
    Ok(refused)
}

/// What is wrong with the references of an object.
fn fault(
    object: &ObjectReferences,
    users: &BTreeSet<i64>,
    predictions: &BTreeSet<i64>,
    annotations: &BTreeSet<i64>,
    taken: &HashSet<Uuid>,
) -> Option<String> {
    let lacks = |what: &str, id: i64| {
        format!("An annotation names {what} {id}, which Label Studio does not have. Correct or remove the ID.")
    };
    let mut own = HashSet::new();
    object
        .users
        .iter()
        .find(|id| users.contains(id))
        .map(|id| lacks("user", *id))
        .or_else(|| {
            let id = object.predictions.iter().map(|id| i64::from(*id)).find(|id| predictions.contains(id))?;
            Some(lacks("prediction", id))
        })
        .or_else(|| {
            let id = object.annotations.iter().map(|id| i64::from(*id)).find(|id| annotations.contains(id))?;
            Some(lacks("annotation", id))
        })
        .or_else(|| {
            let id = object.unique_ids.iter().find(|id| taken.contains(id) || !own.insert(**id))?;
            Some(format!(
                "An annotation has \"unique_id\" {id}, which another annotation has already. Remove one of them, or the ID."
            ))
        })
}

/// Those of the IDs that a table of Label Studio does not have.
async fn missing(client: &impl GenericClient, table: &str, ids: impl Iterator<Item = i64>) -> Result<BTreeSet<i64>> {
    // `OFFSET 0` forces a look-up per ID, whatever the statistics are.
    let text = format!(
        "SELECT wanted.id FROM unnest($1::bigint[]) wanted (id)
           LEFT JOIN LATERAL (SELECT true AS is_there FROM public.{table} t WHERE t.id = wanted.id OFFSET 0) f ON true
          WHERE f.is_there IS NULL"
    );
    let ids: Vec<i64> = ids.collect::<BTreeSet<_>>().into_iter().collect();
    let found: Vec<i64> = look_up(client, &text, &ids).await?;
    Ok(found.into_iter().collect())
}

/// Those of the unique IDs that an annotation has.
async fn taken(client: &impl GenericClient, ids: impl Iterator<Item = Uuid>) -> Result<HashSet<Uuid>> {
    let text = "SELECT wanted.id FROM unnest($1::uuid[]) wanted (id)
                 CROSS JOIN LATERAL (SELECT FROM public.task_completion t WHERE t.unique_id = wanted.id OFFSET 0) f";
    let ids: Vec<Uuid> = ids.collect::<BTreeSet<_>>().into_iter().collect();
    Ok(look_up(client, text, &ids).await?.into_iter().collect())
}

async fn look_up<T: ToSql + Sync + FromSqlOwned>(client: &impl GenericClient, text: &str, ids: &[T]) -> Result<Vec<T>>
where
    for<'a> &'a [T]: ToSql,
{
    let mut found = Vec::new();
    for chunk in ids.chunks(CHUNK_IDS) {
        let rows = client.query(text, &[&chunk]).await?;
        found.extend(rows.iter().map(|row| row.get::<_, T>(0)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_refused_with_the_value_that_is_at_fault() {
        let (none, one) = (BTreeSet::new(), BTreeSet::from([7]));
        let id = Uuid::from_u128(5);
        let object =
            ObjectReferences { users: vec![1, 7], predictions: vec![7], annotations: vec![7], unique_ids: vec![id] };
        let says = |users: &BTreeSet<i64>, predictions, annotations, taken: &HashSet<Uuid>| {
            fault(&object, users, predictions, annotations, taken)
        };
        let free = HashSet::new();
        assert_eq!(says(&none, &none, &none, &free), None);
        assert!(says(&one, &none, &none, &free).is_some_and(|text| text.contains("user 7")));
        assert!(says(&none, &one, &none, &free).is_some_and(|text| text.contains("prediction 7")));
        assert!(says(&none, &none, &one, &free).is_some_and(|text| text.contains("annotation 7")));
        let taken = HashSet::from([id]);
        assert!(says(&none, &none, &none, &taken).is_some_and(|text| text.contains(&id.to_string())));
        let twice = ObjectReferences { unique_ids: vec![id, id], ..ObjectReferences::default() };
        assert!(fault(&twice, &none, &none, &none, &free).is_some(), "twice in one object");
    }
}
