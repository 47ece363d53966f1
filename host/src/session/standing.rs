//! What storage says of a family: its row, those of its parents, and the epochs it rests on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Epochs, Error, Sessions, record::Facts};
use crate::{
    barrier::{Stored, View, Writes, layout::Prefix},
    clock::Timestamp,
    ids::SessionId,
    session::Record,
    storage::Version,
};

/// A family's row in storage. Its version is the family's generation: a record that names
/// another one is dead, and without the row the family is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) end: Timestamp,
}

/// A family as both stores have it.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) record: Record,
    pub(super) facts: Facts,
    pub(super) standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    Alive,
    /// The record is of another generation: it was put back, or its renewal is on its way.
    Torn,
    /// Ended, itself or with what it rests on.
    Dead,
}

impl Sessions {
    pub(super) fn rows(&self) -> View {
        self.barrier.view(Prefix::Generation)
    }

    /// The record of a family, opened, whatever storage may say of it.
    pub(super) async fn open(&self, id: &SessionId) -> Result<Option<(Record, Facts)>, Error> {
        let Some(record) = self.store.get(id).await? else { return Ok(None) };
        let facts = Facts::open(&record, &self.barrier, self.store.namespace(), id)?;
        Ok(facts.map(|facts| (record, facts)))
    }

    pub(super) async fn family(&self, id: &SessionId) -> Result<Option<Family>, Error> {
        let Some((record, facts)) = self.open(id).await? else { return Ok(None) };
        let standing = self.standing(id, &facts).await?;
        Ok(Some(Family { record, facts, standing }))
    }

    /// The family if it is alive in every respect but its access token.
    pub(super) async fn alive(&self, id: &SessionId) -> Result<Option<Family>, Error> {
        Ok(self.family(id).await?.filter(|family| family.standing == Standing::Alive))
    }

    pub(super) async fn standing(&self, id: &SessionId, facts: &Facts) -> Result<Standing, Error> {
        Ok(self.standings(&[(id, facts)]).await?.pop().unwrap_or(Standing::Dead))
    }

    /// Of many at once, in the order asked for, with no more looks at storage than for one.
    pub(super) async fn standings(&self, families: &[(&SessionId, &Facts)]) -> Result<Vec<Standing>, Error> {
        let now = self.clock.now();
        let lines: Vec<Vec<&str>> = families
            .iter()
            .map(|(id, facts)| [*id].into_iter().chain(&facts.parents).map(SessionId::as_str).collect())
            .collect();
        let keys: Vec<&str> = lines.iter().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let (rows, epochs) = (self.rows(), super::epochs::view(&self.barrier));
        let current = Epochs::current(&epochs, families.iter().map(|(_, facts)| &facts.epochs));
        let (rows, current) = tokio::try_join!(rows.get_many_bytes(&keys), current)?;
        let rows: BTreeMap<&str, Version> =
            keys.into_iter().zip(rows).filter_map(|(key, row)| Some((key, row?.version))).collect();
        let standing = |((_, facts), line): (&(&SessionId, &Facts), &Vec<&str>)| {
            let stands = line.iter().all(|id| rows.contains_key(id)) && facts.epochs.stand_in(&current);
            match rows.get(line[0]) {
                Some(version) if now < facts.end && stands => match version.raw() == facts.generation {
                    true => Standing::Alive,
                    false => Standing::Torn,
                },
                _ => Standing::Dead,
            }
        };
        Ok(families.iter().zip(&lines).map(standing).collect())
    }

    pub(super) async fn row(&self, id: &SessionId) -> Result<Option<Stored<Row>>, Error> {
        Ok(self.rows().get(id.as_str()).await?)
    }

    /// Makes a batch rest on the family being what these facts say, and alive.
    pub(super) fn expect_alive(&self, to: &mut Writes, id: &SessionId, facts: &Facts) {
        let expect = crate::storage::Expect::Version(Version::from_raw(facts.generation));
        self.rows().expect(to, id.as_str(), expect);
        facts.epochs.expect(&super::epochs::view(&self.barrier), to);
    }
}
