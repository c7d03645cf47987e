//! PostgreSQL, RabbitMQ and Redis as one stack.

use std::path::Path;

use anyhow::Result;

use crate::config::ExistingServers;
use crate::guard::{Folder, Guard};
use crate::postgres::Postgres;
use crate::rabbitmq::RabbitMq;
use crate::redis::Redis;
use crate::run_dir::RunDir;

/// Options of a stack.
#[derive(Clone)]
pub struct Options {
    /// Whether PostgreSQL waits for the disk; see [`Postgres::start`].
    pub fsync: bool,
    /// Whether the run directory is removed when the stack ends.
    pub throwaway: bool,
    /// Servers to use instead of private ones.
    pub existing: ExistingServers,
}

impl Options {
    /// Fast, and removed afterwards.
    pub fn for_tests() -> Self {
        Self { fsync: false, throwaway: true, existing: ExistingServers::from_env() }
    }

    /// Keeps its data, and waits for the disk as a production server does.
    pub fn lasting() -> Self {
        Self { fsync: true, throwaway: false, existing: ExistingServers::from_env() }
    }
}

/// Servers with private ports and folders. They end with this value, or at the latest with this process, unless
/// [`Stack::keep`] is called.
pub struct Stack {
    pub postgres: Postgres,
    pub rabbitmq: RabbitMq,
    pub redis: Redis,
    run_dir: RunDir,
    /// Dropped after the servers: it removes their run directory.
    guard: Guard,
}

impl Stack {
    /// Starts all three concurrently and returns when they answer.
    ///
    /// In the run directory of an earlier stack that was not throwaway, the servers use its data again.
    pub async fn start(dir: impl AsRef<Path>, options: Options) -> Result<Self> {
        let run_dir = RunDir::open(dir)?;
        let guard = Guard::watch(&run_dir, if options.throwaway { Folder::Remove } else { Folder::Keep })?;
        let ExistingServers { database_url, amqp_url, amqp_management_url, redis_url } = options.existing;
        let rabbitmq = async {
            match amqp_url {
                Some(url) => RabbitMq::existing(&url, amqp_management_url.as_deref()),
                None => RabbitMq::start(&run_dir).await,
            }
        };
        let postgres = async {
            match database_url {
                Some(url) => Ok(Postgres::existing(url)),
                None => Postgres::start(&run_dir, options.fsync).await,
            }
        };
        let redis = async {
            match redis_url {
                Some(url) => Ok(Redis::existing(url)),
                None => Redis::start(&run_dir).await,
            }
        };
        let (rabbitmq, postgres, redis) = tokio::try_join!(rabbitmq, postgres, redis)?;
        Ok(Self { postgres, rabbitmq, redis, run_dir, guard })
    }

    pub fn run_dir(&self) -> &RunDir {
        &self.run_dir
    }

    /// Lets the servers outlive this process.
    pub fn keep(self) -> Result<()> {
        self.rabbitmq.keep();
        for server in [self.postgres.own_process(), self.redis.own_process()].into_iter().flatten() {
            server.keep();
        }
        self.guard.dismiss()
    }
}
