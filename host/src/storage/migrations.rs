//! The schema of each dialect, in steps, built into the binary. A step that was released is never
//! changed: one more is one more file and one more line here.

use sqlx::{
    SqlSafeStr,
    migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator},
};

const SQLITE: &[&str] = &[include_str!("../../migrations/sqlite/0001_entry.sql")];
const POSTGRES: &[&str] = &[include_str!("../../migrations/postgres/0001_entry.sql")];

pub(super) async fn sqlite(connection: &mut impl Migrate) -> Result<(), MigrateError> {
    migrator(SQLITE).run_direct(None, connection, false).await
}

/// One node at a time.
pub(super) async fn postgres(connection: &mut impl Migrate) -> Result<(), MigrateError> {
    migrator(POSTGRES).run_direct(None, connection, false).await
}

fn migrator(steps: &'static [&'static str]) -> Migrator {
    let step = |(version, sql): (i64, &&'static str)| {
        Migration::new(version, "coffer".into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations((1..).zip(steps).map(step).collect())
}
