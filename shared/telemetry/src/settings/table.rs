//! The table of all settings, in the order of `deploy/operations/settings.md`.

use super::Default::{Computed, Each, None, Required, Value};
use super::Readers::{Both, Scheduler, Worker};
use super::{Default, Readers, Setting};

/// Declares the constants and a list of all of them, so that the list is complete.
macro_rules! settings {
    ($($constant:ident = $name:literal, $readers:expr, $default:expr, $about:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $about, ".")]
            pub const $constant: Setting = setting($name, $readers, $default, $about);
        )*

        /// All settings.
        pub const ALL: &[Setting] = &[$($constant),*];
    };
}

const fn setting(name: &'static str, readers: Readers, default: Default, about: &'static str) -> Setting {
    Setting { name, readers, default, about }
}

settings! {
    DATABASE_URL = "DATABASE_URL", Both, Required, "Postgres: `postgres://user:password@host:5432/database?sslmode=verify-full`";
    AMQP_URL = "AMQP_URL", Both, Required, "RabbitMQ: `amqps://user:password@host:5671/vhost`";
    AMQP_CA_FILE = "LONGSHORE_AMQP_CA_FILE", Both, None,
        "PEM file of the authorities that `amqps://` trusts, instead of the system's; for Postgres: `sslrootcert` in `DATABASE_URL`";
    ALLOW_PLAINTEXT = "LONGSHORE_ALLOW_PLAINTEXT", Both, Value("false"),
        "whether `amqp://` may leave this machine; for Postgres: `sslmode=disable` in `DATABASE_URL`";
    HOST = "LONGSHORE_HOST", Both, Value("native"),
        "the app that owns tasks and annotations: `native` (Longshore's own tables), or `label-studio` (a running Label Studio 1.21 to 1.23 in the same database)";
    LABEL_STUDIO_URL = "LONGSHORE_LABEL_STUDIO_URL", Scheduler, None,
        "base URL of Label Studio, such as `http://127.0.0.1:8080`, which is asked what its users may do; required beside it";
    LABEL_STUDIO_EXPORT_TASKS = "LONGSHORE_LABEL_STUDIO_EXPORT_TASKS", Worker, Value("false"),
        "whether exports to storages of Label Studio write one object per task; set it to the value of Label Studio's `FUTURE_SAVE_TASK_TO_STORAGE`";
    LABEL_STUDIO_EXPORT_JSON_SUFFIX = "LONGSHORE_LABEL_STUDIO_EXPORT_JSON_SUFFIX", Worker, Value("true"),
        "whether the keys of such objects end in `.json`; set it to the value of Label Studio's `FUTURE_SAVE_TASK_TO_STORAGE_JSON_EXT`";
    LABEL_STUDIO_EXPORT_EXACT_KEYS = "LONGSHORE_LABEL_STUDIO_EXPORT_EXACT_KEYS", Worker, Value("false"),
        "whether exports to storages of Label Studio copy two faults of its keys: `//` after a prefix that ends in `/`, and Redis keys without the storage's path";
    SECRET_KEYS = "LONGSHORE_SECRET_KEYS", Both, Required,
        "`id:key,…`, each key 32 random bytes in base64; the first encrypts storage secrets, all of them decrypt";
    TOKEN = "LONGSHORE_TOKEN", Scheduler, Required,
        "the first admin token: 16 or more printable characters that are hard to guess";
    LISTEN = "LONGSHORE_LISTEN", Scheduler, Value("127.0.0.1:8080"),
        "address of the API, its documentation, health and metrics; see [open pages](security.md#pages-without-a-token)";
    METRICS_LISTEN = "LONGSHORE_METRICS_LISTEN", Both, Each { scheduler: "", worker: "127.0.0.1:9090" },
        "address of health and metrics; a scheduler serves metrics there instead of on `LONGSHORE_LISTEN`, and health on both";
    TRUSTED_PROXIES = "LONGSHORE_TRUSTED_PROXIES", Scheduler, None,
        "addresses or networks of the reverse proxies whose header names the client, for the audit";
    FORWARDED_HEADER = "LONGSHORE_FORWARDED_HEADER", Scheduler, Value("X-Forwarded-For"),
        "the header that these proxies write: `X-Forwarded-For` or `Forwarded`";
    CONNECTIONS = "LONGSHORE_CONNECTIONS", Both, Each { scheduler: "1024", worker: "256" },
        "open client sockets; at most half of the limit of open files";
    PEER_CONNECTIONS = "LONGSHORE_PEER_CONNECTIONS", Both, Computed("three quarters of them"),
        "open sockets of one address; see [limits](security.md#limits)";
    REQUESTS = "LONGSHORE_REQUESTS", Scheduler, Value("512"), "concurrent requests of all tokens";
    TOKEN_REQUESTS = "LONGSHORE_TOKEN_REQUESTS", Scheduler, Value("128"), "concurrent requests of one token";
    STREAMS = "LONGSHORE_STREAMS", Scheduler, Value("256"), "open event streams of all tokens";
    TOKEN_STREAMS = "LONGSHORE_TOKEN_STREAMS", Scheduler, Value("64"), "open event streams of one token";
    ALLOWED_ENDPOINTS = "LONGSHORE_ALLOWED_ENDPOINTS", Both, None,
        "hosts, `host:port` or networks that user-given endpoints and webhooks may reach although they are private or local";
    PUBLIC_URL = "LONGSHORE_PUBLIC_URL", Scheduler, None,
        "base URL of resolve links, such as `https://label.example.com/sync`; without it they are relative";
    LINK_SECONDS = "LONGSHORE_LINK_SECONDS", Scheduler, Value("3600"), "minimum lifetime of a resolve link";
    API_MEMORY_MB = "LONGSHORE_API_MEMORY_MB", Scheduler, Value("256"),
        "memory for all requests and answers above 64 KiB; one token gets half";
    SEND_SECONDS = "LONGSHORE_SEND_SECONDS", Scheduler, Value("30"),
        "a client that reads next to nothing of its answer for this long is disconnected";
    ALLOWED_ORIGINS = "LONGSHORE_ALLOWED_ORIGINS", Scheduler, None, "allowed CORS origins; `*` allows all";
    OWN_IDENTITY = "LONGSHORE_OWN_IDENTITY", Both, Value("unscoped"),
        "which storages may use the processes' own cloud identity (beside Label Studio, `none` by default): `none`, `all`, or a list of `unscoped`, `roles` (kind `s3s`) and `project:bucket` (other kinds); see [security](security.md#longshores-own-cloud-identity)";
    AWS_REGION = "AWS_REGION", Both, Computed("`AWS_DEFAULT_REGION`, else `us-east-1`"),
        "region of buckets whose storage names none";
    AWS = "AWS_*", Both, None, "the processes' own AWS identity, as the AWS SDK reads it";
    GOOGLE_APPLICATION_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS", Both, None,
        "key file of the processes' own Google Cloud identity";
    STORAGE_EMULATOR_HOST = "STORAGE_EMULATOR_HOST", Both, None, "address of Google Cloud Storage, if it is not Google's";
    AZURE_BLOB_ACCOUNT_NAME = "AZURE_BLOB_ACCOUNT_NAME", Both, None, "account of Azure storages that name none";
    AZURE_BLOB_ACCOUNT_KEY = "AZURE_BLOB_ACCOUNT_KEY", Both, None, "key of that account";
    AZURE_BLOB_ENDPOINT = "AZURE_BLOB_ENDPOINT", Both, None, "endpoint of that account, outside of the public cloud";
    LOCAL_FILES_SERVING_ENABLED = "LOCAL_FILES_SERVING_ENABLED", Both, Value("false"),
        "whether storages may read files of these machines";
    LOCAL_FILES_DOCUMENT_ROOT = "LOCAL_FILES_DOCUMENT_ROOT", Both, None,
        "the folder that holds all such files, required if they are read; with `{project}` in it, such as `/data/{project}`, one for each project";
    LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED = "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED", Both, None,
        "Label Studio's longer name of `LOCAL_FILES_SERVING_ENABLED`, which wins if both are set, as in Label Studio";
    LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT = "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", Both, None,
        "Label Studio's longer name of `LOCAL_FILES_DOCUMENT_ROOT`, which wins if both are set, as in Label Studio";
    LABEL_STUDIO_HOST = "LABEL_STUDIO_HOST", Both, None,
        "with `label-studio` as the host: its base URL, as Label Studio itself has it in this variable, for the URIs of local files";
    JOBS = "LONGSHORE_JOBS", Worker, Value("8"),
        "concurrent jobs per queue, plus one short slot per four, so that small jobs are not stuck behind large ones";
    WORKER = "LONGSHORE_WORKER", Worker, Computed("host name and process ID"), "the worker's name in tables and logs";
    GETS = "LONGSHORE_GETS", Worker, Value("32"), "concurrent object reads or writes of one job";
    MEMORY_MB = "LONGSHORE_MEMORY_MB", Worker, Value("128"),
        "memory budget for objects of all jobs, unpacked and parsed, three quarters of which are handed out; an object that needs more alone is quarantined. The process stays below this + 128 MiB";
    LEASE_SECONDS = "LONGSHORE_LEASE_SECONDS", Worker, Value("60"), "how long a silent worker keeps a job";
    QUANTUM_SECONDS = "LONGSHORE_QUANTUM_SECONDS", Worker, Value("5"),
        "how long a job runs before it goes to the back of the queue";
    DRAIN_SECONDS = "LONGSHORE_DRAIN_SECONDS", Worker, Value("25"), "how long a page may take to finish after SIGTERM";
    MAX_FAILURES = "LONGSHORE_MAX_FAILURES", Worker, Value("10"),
        "failures in a row without progress before a job is discarded";
    SPLIT_AFTER_PAGES = "LONGSHORE_SPLIT_AFTER_PAGES", Worker, Value("2"),
        "pages before a job splits its range among idle slots; 0 never splits";
    STORAGE_PATIENCE_SECONDS = "LONGSHORE_STORAGE_PATIENCE_SECONDS", Worker, Value("30"),
        "how long a storage may be silent before a request fails";
    DATABASE_PATIENCE_SECONDS = "LONGSHORE_DATABASE_PATIENCE_SECONDS", Both, Value("30"),
        "how long the database may be silent before its connection counts as dead";
    RESCUE_SECONDS = "LONGSHORE_RESCUE_SECONDS", Scheduler, Value("15"),
        "how often the rescuer looks for expired leases and lost messages";
    KEEP_DAYS = "LONGSHORE_KEEP_DAYS", Scheduler, Value("90"), "how long ended syncs are kept";
    AUDIT_DAYS = "LONGSHORE_AUDIT_DAYS", Scheduler, Value("365"), "how long audit entries are kept";
    LOG = "LONGSHORE_LOG", Both, Value("info"), "log filter, such as `info,longshore_worker=debug`";
    LOG_FORMAT = "LONGSHORE_LOG_FORMAT", Both, Value("json"), "`json` or `text`";
}
