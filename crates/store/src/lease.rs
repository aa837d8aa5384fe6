//! Who works on which run: the part of the database that does not come from the log.

use perennial_types::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::database::instant;
use crate::{Store, StoreError};

/// The right to work on a run, until a time that heartbeats move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The run.
    pub run: String,
    /// Which attempt at the run this is, from 1.
    pub attempt: u64,
    /// Who holds it.
    pub owner: String,
    /// The process that works.
    pub pid: Option<u32>,
    /// When it ends unless it is renewed.
    pub leased_until: Timestamp,
    /// When it was taken or last renewed.
    pub heartbeat_at: Timestamp,
}

/// Somebody who wants to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// Its name.
    pub owner: String,
    /// Its process.
    pub pid: Option<u32>,
    /// The present instant.
    pub now: Timestamp,
    /// When the lease ends unless it is renewed.
    pub until: Timestamp,
}

impl Store {
    /// Take the lease of a requested run: of `run`, or of the oldest one. Runs whose lease has ended are
    /// requested again first. Nothing if there is none to take.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn claim(&self, run: Option<&str>, claimant: &Claimant) -> Result<Option<Lease>, StoreError> {
        let asked = || StoreError::asked("claim a run");
        let mut transaction = self.pool().begin().await.map_err(asked())?;
        expire(&mut transaction, claimant.now).await?;
        let query = sqlx::query_scalar::<_, Json<Lease>>(
            "WITH free AS (
                 SELECT r.id, r.public_id
                 FROM run r
                 WHERE r.state = 'requested' AND ($1::TEXT IS NULL OR r.public_id = $1)
                 ORDER BY r.id
                 LIMIT 1
                 FOR UPDATE SKIP LOCKED
             ), started AS (
                 UPDATE run r SET state = 'running'
                 FROM free
                 WHERE r.id = free.id AND r.state = 'requested'
             )
             INSERT INTO run_lease AS l (run, attempt, owner, pid, leased_until, heartbeat_at)
             SELECT free.id, 1, $2, $3, $4, $5
             FROM free
             ON CONFLICT (run) DO UPDATE
             SET attempt = l.attempt + 1, owner = $2, pid = $3, leased_until = $4, heartbeat_at = $5
             RETURNING TO_JSONB(l) || JSONB_BUILD_OBJECT('run', (SELECT public_id FROM free))",
        );
        let query = query.bind(run).bind(&claimant.owner).bind(claimant.pid.map(i64::from));
        let query = query.bind(instant(claimant.until)?).bind(instant(claimant.now)?);
        let lease = query.fetch_optional(&mut *transaction).await.map_err(asked())?;
        transaction.commit().await.map_err(asked())?;
        Ok(lease.map(|Json(lease)| lease))
    }

    /// Move the end of a lease that is still held; `pid` is noted if it is given.
    ///
    /// # Errors
    /// When the lease has ended or was taken by somebody else, or the database is away.
    pub async fn heartbeat(
        &self,
        lease: &Lease,
        pid: Option<u32>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Lease, StoreError> {
        let query = sqlx::query_scalar::<_, Json<Lease>>(
            "UPDATE run_lease l
             SET leased_until = $4, heartbeat_at = $3, pid = COALESCE($5, l.pid)
             FROM run r
             WHERE r.id = l.run AND r.public_id = $1 AND r.state = 'running' AND l.attempt = $2
               AND l.leased_until >= $3
             RETURNING TO_JSONB(l) || JSONB_BUILD_OBJECT('run', r.public_id)",
        );
        let query = query.bind(&lease.run).bind(lease.attempt.cast_signed()).bind(instant(now)?);
        let query = query.bind(instant(until)?).bind(pid.map(i64::from));
        let renewed = query.fetch_optional(self.pool()).await;
        match renewed.map_err(StoreError::asked(format!("renew the lease of run {:?}", lease.run)))? {
            Some(Json(renewed)) => Ok(renewed),
            None => Err(self.lost(lease).await?),
        }
    }

    /// Give a run back, so that somebody else can take it.
    ///
    /// # Errors
    /// When the lease was lost, or the database is away.
    pub async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let query = sqlx::query(
            "WITH held AS (
                 SELECT r.id
                 FROM run r
                 JOIN run_lease l ON l.run = r.id
                 WHERE r.public_id = $1 AND r.state = 'running' AND l.attempt = $2
                 FOR UPDATE OF r, l
             )
             UPDATE run r SET state = 'requested'
             FROM held
             WHERE r.id = held.id AND r.state = 'running'",
        );
        let done = query.bind(&lease.run).bind(lease.attempt.cast_signed()).execute(self.pool()).await;
        let done = done.map_err(StoreError::asked(format!("release run {:?}", lease.run)))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(self.lost(lease).await?) }
    }

    /// End every lease, before a service starts to take its own. The answer names the processes that may
    /// still be at work.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn void_all(&self) -> Result<Vec<Lease>, StoreError> {
        let query = sqlx::query_scalar::<_, Json<Lease>>(
            "UPDATE run r SET state = 'requested'
             FROM run_lease l
             WHERE l.run = r.id AND r.state = 'running'
             RETURNING TO_JSONB(l) || JSONB_BUILD_OBJECT('run', r.public_id)",
        );
        let voided = query.fetch_all(self.pool()).await.map_err(StoreError::asked("void the leases"))?;
        Ok(voided.into_iter().map(|Json(lease)| lease).collect())
    }

    async fn lost(&self, lease: &Lease) -> Result<StoreError, StoreError> {
        let run = self.run(&lease.run).await?;
        Ok(StoreError::State {
            what: "the lease of run",
            name: run.id,
            state: format!("lost (attempt {}; the run is {})", lease.attempt, run.state),
            wanted: "held",
        })
    }
}

/// Both rows are locked before they are judged: an update of the run alone would, after waiting for another
/// claim, look at the run as it is but at the lease as it was.
async fn expire(connection: &mut PgConnection, now: Timestamp) -> Result<(), StoreError> {
    let query = sqlx::query(
        "WITH ended AS (
             SELECT r.id
             FROM run r
             JOIN run_lease l ON l.run = r.id
             WHERE r.state = 'running' AND l.leased_until < $1
             FOR UPDATE OF r, l SKIP LOCKED
         )
         UPDATE run r SET state = 'requested'
         FROM ended
         WHERE r.id = ended.id AND r.state = 'running'",
    );
    let done = query.bind(instant(now)?).execute(connection).await;
    done.map(|_| ()).map_err(StoreError::asked("end the leases that nobody renews"))
}
