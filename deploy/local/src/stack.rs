//! The three servers as one.

use std::path::Path;

use anyhow::Result;

use crate::config::Existing;
use crate::guard::{Folder, Guard};
use crate::place::Place;
use crate::postgres::Postgres;
use crate::rabbitmq::RabbitMq;
use crate::redis::Redis;

/// How a stack is to be.
#[derive(Clone)]
pub struct Options {
    /// Whether Postgres waits for the disk; see [`Postgres::start`].
    pub fsync: bool,
    /// Whether the folder goes when the stack does.
    pub throwaway: bool,
    /// Servers to use instead of private ones.
    pub existing: Existing,
}

impl Options {
    /// Quick and gone afterwards.
    pub fn for_tests() -> Self {
        Self { fsync: false, throwaway: true, existing: Existing::from_env() }
    }

    /// As careful with data as a real server.
    pub fn lasting() -> Self {
        Self { fsync: true, throwaway: false, existing: Existing::from_env() }
    }
}

/// Private servers on ports and folders of their own. They end with this value or, whatever happens to it, with
/// this process, unless [`Stack::keep`] sets them free.
pub struct Stack {
    pub postgres: Postgres,
    pub rabbitmq: RabbitMq,
    pub redis: Redis,
    place: Place,
    /// After the servers: it removes the folder they work in.
    guard: Guard,
}

impl Stack {
    /// Starts all three side by side and returns when they answer.
    ///
    /// Starting again in the folder of an earlier, lasting stack brings back its data.
    pub async fn start(dir: impl AsRef<Path>, options: Options) -> Result<Self> {
        let place = Place::open(dir)?;
        let guard = Guard::watch(&place, if options.throwaway { Folder::Remove } else { Folder::Keep })?;
        let Existing { database_url, amqp_url, amqp_management_url, redis_url } = options.existing;
        let rabbitmq = async {
            match amqp_url {
                Some(url) => RabbitMq::existing(&url, amqp_management_url.as_deref()),
                None => RabbitMq::start(&place).await,
            }
        };
        let postgres = async {
            match database_url {
                Some(url) => Ok(Postgres::existing(url)),
                None => Postgres::start(&place, options.fsync).await,
            }
        };
        let redis = async {
            match redis_url {
                Some(url) => Ok(Redis::existing(url)),
                None => Redis::start(&place).await,
            }
        };
        let (rabbitmq, postgres, redis) = tokio::try_join!(rabbitmq, postgres, redis)?;
        Ok(Self { postgres, rabbitmq, redis, place, guard })
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Lets the servers outlive this process.
    pub fn keep(self) -> Result<()> {
        self.rabbitmq.keep();
        for server in [self.postgres.ours(), self.redis.ours()].into_iter().flatten() {
            server.keep();
        }
        self.guard.dismiss()
    }
}
