//! Which services a state belongs to. Cursors are places in one organization of Dynamics 365, and the ledger says what one
//! instance of Campaign has: used with another one, both are wrong, and nothing in an answer would show it.

use std::collections::BTreeMap;

use rusqlite::params;

use super::cursor::cursor_of;
use super::error::Inside;
use super::store::Store;
use super::tx::Tx;
use super::types::millis;
use crate::store::{Environment, Reason, Side, StoreError};
use crate::system::SystemId;

/// How a side is compared with the one on file.
enum Difference {
    None,
    /// The same organization under another address, or an organization that was not known before.
    Renamed,
    Another,
}

fn difference(system: SystemId, before: &Side, now: &Side) -> Difference {
    match (system, &before.organization, &now.organization) {
        _ if before == now => Difference::None,
        (_, Some(before), Some(now)) if before != now => Difference::Another,
        // An organization keeps its id when an administrator gives it another address.
        (SystemId::D365, Some(_), Some(_)) => Difference::Renamed,
        // Instances of one organization differ by their addresses alone.
        _ if before.address != now.address => Difference::Another,
        (_, Some(_), None) => Difference::None,
        _ => Difference::Renamed,
    }
}

impl Store {
    /// The services that the state belongs to; none of a side before the first run.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn environment(&self) -> Result<BTreeMap<SystemId, Side>, StoreError> {
        self.read("look up its environment", |conn, _| sides(conn))
    }

    /// Refuses another environment than the one that the state belongs to; changes nothing.
    ///
    /// # Errors
    /// [`StoreError::OtherEnvironment`]; when the file cannot be read.
    pub fn check_environment(&self, now: &Environment) -> Result<(), StoreError> {
        for (system, before) in self.environment()? {
            if let Some(side) = now.0.get(&system)
                && let Difference::Another = difference(system, &before, side)
            {
                return Err(self.other(system, before, side));
            }
        }
        Ok(())
    }

    /// Binds the state to an environment at the first run, and refuses another one later. If an organization of Dynamics has
    /// another address now, all records are read again: links of the old address lead nowhere.
    ///
    /// # Errors
    /// [`StoreError::OtherEnvironment`]; when the file cannot be written.
    pub fn bind_environment(&self, now: &Environment) -> Result<(), StoreError> {
        let known = self.environment()?;
        for (&system, side) in &now.0 {
            let renamed = match known.get(&system) {
                None => false,
                Some(before) => match difference(system, before, side) {
                    Difference::None => continue,
                    Difference::Renamed => before.address != side.address,
                    Difference::Another => return Err(self.other(system, before.clone(), side)),
                },
            };
            self.write("note its environment", |tx| {
                if renamed {
                    tx.read_all_again()?;
                }
                tx.put_side(system, side)
            })?;
        }
        self.set_bound();
        Ok(())
    }

    /// Moves the state to an environment. Gives the sides that are other ones now.
    ///
    /// What is known of another organization of Dynamics is dropped: cursors (everything is read again) and opt-outs (compared
    /// again, for approval). The ledger stays: what the full load does not see is deleted as `deletes` says, within the guard
    /// against mass changes. What is known of another instance of Campaign is doubted: each record is looked up and written in
    /// full. With `same_data` only the addresses are noted.
    ///
    /// # Errors
    /// [`StoreError::NotLocked`]; when the file cannot be written.
    pub fn rebind_environment(&self, now: &Environment, same_data: bool) -> Result<Vec<SystemId>, StoreError> {
        self.require_lock()?;
        self.write("move to another environment", |tx| {
            let known = sides(tx.conn)?;
            let mut others = Vec::new();
            for (&system, side) in &now.0 {
                let before = known.get(&system);
                if before.is_some_and(|before| matches!(difference(system, before, side), Difference::Another)) {
                    others.push(system);
                }
                if system == SystemId::D365 && before.is_some_and(|before| before.address != side.address) && !others.contains(&system) {
                    tx.read_all_again()?;
                }
                tx.put_side(system, side)?;
            }
            if !others.is_empty() {
                tx.read_all_again()?;
                if !same_data {
                    tx.forget_optouts()?;
                }
            }
            if others.contains(&SystemId::Campaign) && !same_data {
                tx.conn.execute("UPDATE ledger SET doubtful = 1, fingerprints = x''", [])?;
                // Both belong to the services beside the other instance.
                tx.conn.execute("UPDATE event_cursor SET link = NULL, quiet_until = 0", [])?;
                tx.conn.execute("DELETE FROM export", [])?;
            }
            Ok(others)
        })
    }

    fn other(&self, system: SystemId, before: Side, now: &Side) -> StoreError {
        StoreError::OtherEnvironment { place: self.path().into(), system, sides: Box::new([before, now.clone()]) }
    }
}

fn sides(conn: &rusqlite::Connection) -> Inside<BTreeMap<SystemId, Side>> {
    let mut statement = conn.prepare_cached("SELECT side, address, organization FROM environment")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, Side { address: row.get(1)?, organization: row.get(2)? })))?;
    let mut sides = BTreeMap::new();
    for row in rows {
        let (key, side) = row?;
        let system = SystemId::from_key(&key).ok_or_else(|| StoreError::Damaged { what: format!("there is no system `{key}`") })?;
        sides.insert(system, side);
    }
    Ok(sides)
}

impl Tx<'_> {
    fn put_side(&mut self, system: SystemId, side: &Side) -> Inside<()> {
        self.conn.execute(
            "INSERT INTO environment (side, address, organization, bound_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (side) DO UPDATE SET address = excluded.address, organization = coalesce(excluded.organization, organization),
               bound_at = excluded.bound_at",
            params![system.key(), side.address, side.organization, millis(self.now)],
        )?;
        Ok(())
    }

    /// Puts all workflows back to the start of a full load.
    fn read_all_again(&mut self) -> Inside<()> {
        let mappings: Vec<i64> = {
            let mut statement = self.conn.prepare_cached("SELECT mapping FROM cursor")?;
            statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        for mapping in mappings {
            if let Some(from) = cursor_of(self.conn, mapping)? {
                let plan = from.plan_fingerprint.clone();
                self.restart(mapping, &from, Reason::Resync, &plan)?;
            }
        }
        // The links of tables that are followed are of the other address too. Rows that do not come again go.
        self.conn.execute("UPDATE related_source SET phase = 'full', link = NULL, generation = generation + 1", [])?;
        Ok(())
    }

    /// What was seen of persons on the other side says nothing of this one: both sides are read again, and what they disagree
    /// about needs approval.
    fn forget_optouts(&mut self) -> Inside<()> {
        let flows: Vec<i64> = {
            let mut statement = self.conn.prepare_cached("SELECT mapping FROM optout_flow")?;
            statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        for flow in flows {
            let removed = self.conn.execute("DELETE FROM outbox WHERE mapping = ?1", [flow])?;
            self.tally(flow).outbox_rows -= i64::try_from(removed).unwrap_or(0);
        }
        self.conn.execute("DELETE FROM optout", [])?;
        self.conn.execute(
            "UPDATE optout_flow SET stage = 'baseline', accepted_at = NULL, contacts_at = NULL, listed_at = NULL, polled_at = NULL,
               full_at = NULL, high_water = NULL, note = NULL, warning = NULL",
            [],
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Phase, RunKind};

    fn environment(host: &str, organization: &str, campaign: &str) -> Environment {
        let dynamics = Side { address: format!("https://{host}"), organization: Some(organization.to_owned()) };
        let campaign = Side { address: format!("https://mc.adobe.io/{campaign}"), organization: None };
        Environment(BTreeMap::from([(SystemId::D365, dynamics), (SystemId::Campaign, campaign)]))
    }

    #[test]
    fn a_state_is_bound_by_its_first_run_and_refuses_another_organization_or_instance() {
        let store = Store::in_memory().unwrap();
        let ours = environment("a.crm.dynamics.com", "o-1", "shop");
        store.check_environment(&ours).unwrap();
        store.bind_environment(&ours).unwrap();
        store.bind_environment(&ours).unwrap();
        for (other, system) in [
            (environment("a.crm.dynamics.com", "o-2", "shop"), SystemId::D365),
            (environment("a.crm.dynamics.com", "o-1", "shop-stage"), SystemId::Campaign),
        ] {
            for refused in [store.check_environment(&other), store.bind_environment(&other)] {
                let error = refused.unwrap_err();
                assert!(matches!(&error, StoreError::OtherEnvironment { system: found, .. } if *found == system), "{error}");
                assert!(error.to_string().contains("state rebind"), "{error}");
            }
        }
        assert_eq!(store.environment().unwrap().len(), 2);
    }

    #[test]
    fn an_organization_of_dynamics_with_another_address_is_the_same_and_is_read_again() {
        let store = Store::in_memory().unwrap();
        store.bind_environment(&environment("a.crm.dynamics.com", "o-1", "shop")).unwrap();
        let before = store.cursor_or_first("contacts", "p").unwrap();
        let followed = store.related_place("contacts", "d365.account", "columns").unwrap();
        store.bind_environment(&environment("b.crm.dynamics.com", "o-1", "shop")).unwrap();
        let after = store.cursor("contacts").unwrap().unwrap();
        assert_eq!((after.phase, after.generation), (Phase::Full, before.generation + 1));
        let again = store.related_place("contacts", "d365.account", "columns").unwrap();
        assert_eq!((again.phase, again.link, again.generation), (Phase::Full, None, followed.generation + 1));
    }

    #[test]
    fn an_ims_organization_that_becomes_known_is_noted_and_another_one_is_refused() {
        let store = Store::in_memory().unwrap();
        let mut environment = environment("a.crm.dynamics.com", "o-1", "shop");
        store.bind_environment(&environment).unwrap();
        environment.0.get_mut(&SystemId::Campaign).unwrap().organization = Some("A@AdobeOrg".to_owned());
        store.bind_environment(&environment).unwrap();
        environment.0.get_mut(&SystemId::Campaign).unwrap().organization = None;
        store.bind_environment(&environment).unwrap();
        environment.0.get_mut(&SystemId::Campaign).unwrap().organization = Some("B@AdobeOrg".to_owned());
        assert!(matches!(store.bind_environment(&environment), Err(StoreError::OtherEnvironment { .. })));
    }

    #[test]
    fn moving_to_another_campaign_doubts_the_ledger_and_the_same_data_keeps_it() {
        for same_data in [false, true] {
            let store = Store::in_memory().unwrap();
            store.bind_environment(&environment("a.crm.dynamics.com", "o-1", "shop")).unwrap();
            store.start_run(RunKind::Once, &[]).unwrap();
            store.cursor_or_first("contacts", "p").unwrap();
            store
                .write("test", |tx| {
                    tx.conn.execute(
                        "INSERT INTO ledger (mapping, key, source_id, fingerprints, generation, written_at) VALUES (1, 'k', 's', x'0102030405060708', 1, 1)",
                        [],
                    )?;
                    Ok(())
                })
                .unwrap();
            let other = environment("a.crm.dynamics.com", "o-1", "other");
            assert_eq!(store.rebind_environment(&other, same_data).unwrap(), [SystemId::Campaign]);
            store.check_environment(&other).unwrap();
            let doubtful: bool =
                store.read("test", |conn, _| Ok(conn.query_row("SELECT doubtful FROM ledger", [], |row| row.get(0))?)).unwrap();
            assert_eq!(doubtful, !same_data);
            assert_eq!(store.cursor("contacts").unwrap().unwrap().generation, 2, "all records are read again");
        }
    }
}
