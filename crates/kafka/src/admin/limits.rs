//! The largest batch that a topic takes.

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};

use crate::client::{Context, Settings};

use super::topics::block_on;

/// What librdkafka fills batches up to (`batch.size`), in bytes.
const BATCH_SIZE: usize = 1_000_000;

/// Room for a batch's own header and librdkafka's last record, which may go a little over.
const MARGIN: usize = 4096;

/// The topic's `max.message.bytes`, less a margin, where it is below what batches are filled up to. The broker measures
/// whole batches by it, as they are compressed, and refuses all records of one that is larger.
///
/// `None` also where the cluster doesn't tell: it needs the right to describe the topic's configuration, and
/// librdkafka's mock cluster has none. Then everything is as it would be without asking.
pub(crate) fn batch_limit(settings: &Settings, topic: &str, broker: Option<i32>) -> Option<usize> {
    let admin: AdminClient<Context> = settings
        .config(&[])
        .create_with_context(settings.context())
        .ok()?;
    // Any broker can tell; the mock cluster names no controller, for which librdkafka would wait.
    let options = AdminOptions::new()
        .request_timeout(Some(settings.connect_timeout()))
        .broker_id(broker);
    let resources = block_on(admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options));
    let resource = resources.ok()?.into_iter().next()?.ok()?;
    let limit: usize = resource
        .get("max.message.bytes")?
        .value
        .as_ref()?
        .parse()
        .ok()?;
    (limit < BATCH_SIZE).then(|| limit.saturating_sub(MARGIN).max(1))
}
