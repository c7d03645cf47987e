//! What annotations and predictions of objects refer to: users, parents, models, and unique IDs.
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
    let mut lacking = Lacking::default();
    for kind in KINDS {
        lacking.0.push(missing(client, kind.table, objects.iter().flat_map(kind.ids)).await?);
    }
    let mut taken = taken(client, objects.iter().flat_map(|object| &object.unique_ids).copied()).await?;
    let mut refused = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        match fault(object, &lacking, &taken) {
            Some(fault) => refused.push((index, fault)),
            None => taken.extend(&object.unique_ids),
        }
    }
    Ok(refused)
}

/// A kind of rows that labels refer to.
struct Kind {
    /// What refers to them, and what they are, for users.
    names: &'static str,
    table: &'static str,
    ids: fn(&ObjectReferences) -> Vec<i64>,
}

const KINDS: [Kind; 5] = [
    Kind { names: "An annotation names user", table: "htx_user", ids: |object| object.users.clone() },
    Kind { names: "An annotation names prediction", table: "prediction", ids: |object| wide(&object.predictions) },
    Kind { names: "An annotation names annotation", table: "task_completion", ids: |object| wide(&object.annotations) },
    Kind { names: "A prediction names ML backend", table: "ml_mlbackend", ids: |object| wide(&object.models) },
    Kind { names: "A prediction names model run", table: "ml_models_modelrun", ids: |object| wide(&object.model_runs) },
];

fn wide(ids: &[i32]) -> Vec<i64> {
    ids.iter().copied().map(i64::from).collect()
}

/// The IDs that Label Studio does not have, by kind.
#[derive(Default)]
struct Lacking(Vec<BTreeSet<i64>>);

/// What is wrong with the references of an object.
fn fault(object: &ObjectReferences, lacking: &Lacking, taken: &HashSet<Uuid>) -> Option<String> {
    let lacks = KINDS.iter().zip(&lacking.0).find_map(|(kind, missing)| {
        let id = (kind.ids)(object).into_iter().find(|id| missing.contains(id))?;
        Some(format!("{} {id}, which Label Studio does not have. Correct or remove the ID.", kind.names))
    });
    let mut own = HashSet::new();
    lacks.or_else(|| {
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
        let id = Uuid::from_u128(5);
        let object = ObjectReferences {
            users: vec![1, 7],
            predictions: vec![7],
            annotations: vec![7],
            models: vec![7],
            model_runs: vec![7],
            unique_ids: vec![id],
        };
        let free = HashSet::new();
        assert_eq!(fault(&object, &Lacking::default(), &free), None);
        for (index, text) in
            ["user 7,", "prediction 7,", "annotation 7,", "ML backend 7,", "model run 7,"].iter().enumerate()
        {
            let mut lacking = Lacking(vec![BTreeSet::new(); KINDS.len()]);
            lacking.0[index].insert(7);
            assert!(fault(&object, &lacking, &free).is_some_and(|fault| fault.contains(text)), "{text}");
        }
        let taken = HashSet::from([id]);
        let none = Lacking::default();
        assert!(fault(&object, &none, &taken).is_some_and(|text| text.contains(&id.to_string())));
        let twice = ObjectReferences { unique_ids: vec![id, id], ..ObjectReferences::default() };
        assert!(fault(&twice, &none, &free).is_some(), "twice in one object");
    }
}
