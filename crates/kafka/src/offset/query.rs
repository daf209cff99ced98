//! Asks the brokers for offsets: where partitions begin and end, and where in them a place lies.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::{ClientError, fatal};

use super::range::Slice;
use super::spec::Start;

/// How long to wait before it is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// From where to read, and up to where.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// The place of the first record.
    pub(crate) start: Start,
    /// The place before which to stop; `None` to read on and on.
    pub(crate) until: Option<Start>,
}

/// Where partitions begin and end now, in their order.
pub(crate) struct Extents {
    /// The oldest offset that is kept.
    pub(crate) low: Vec<i64>,
    /// The offset of the next record; under `read_committed` that of the oldest one whose transaction is open.
    pub(crate) high: Vec<i64>,
}

/// Asks where partitions begin and end.
///
/// # Errors
///
/// A broker doesn't answer within `timeout`, or refuses.
pub(crate) fn extents<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[(String, i32)],
    timeout: Duration,
) -> Result<Extents, ClientError> {
    let ask = |point| {
        let offsets = list_offsets(consumer, partitions, point, timeout)?;
        Ok(offsets.into_iter().flatten().collect())
    };
    Ok(Extents {
        low: ask(Offset::Beginning)?,
        high: ask(Offset::End)?,
    })
}

/// Asks where in partitions `bounds` are. KIP-32, KIP-79.
///
/// # Errors
///
/// As for [`extents`].
pub(crate) fn locate<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[(String, i32)],
    bounds: Bounds,
    timeout: Duration,
) -> Result<Vec<Slice>, ClientError> {
    let extents = extents(consumer, partitions, timeout)?;
    let place = |place: Start| {
        let of_time = match place {
            Start::Time(ms) => {
                let point = Offset::Offset(ms.max(0));
                list_offsets(consumer, partitions, point, timeout)?
            }
            _ => vec![None; partitions.len()],
        };
        let ranges = extents.low.iter().zip(&extents.high);
        let places = ranges
            .zip(of_time)
            .map(|((low, high), of_time)| resolve(place, *low, *high, of_time));
        Ok::<Vec<i64>, ClientError>(places.collect())
    };
    let starts = place(bounds.start)?;
    let stops = place(bounds.until.unwrap_or(Start::End))?;
    let slices = partitions.iter().zip(starts.into_iter().zip(stops));
    let slices = slices.map(|((topic, partition), (start, stop))| Slice {
        topic: topic.clone(),
        partition: *partition,
        start,
        stop,
    });
    Ok(slices.collect())
}

/// The offset of a place in a partition from `low` to `high`; `of_time` is that of its first record of the place's
/// time or later, if there is one.
fn resolve(place: Start, low: i64, high: i64, of_time: Option<i64>) -> i64 {
    let offset = match place {
        Start::Beginning => low,
        Start::End => high,
        Start::Offset(offset) => offset,
        Start::Last(count) => high.saturating_sub(count),
        Start::Time(_) => of_time.unwrap_or(high),
    };
    offset.clamp(low, high.max(low))
}

/// The offset that stands for `point` in each partition; `None` where there is none, which only a time can have.
///
/// While brokers go and come the answers are errors that pass: it is asked again, until `timeout`.
fn list_offsets<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[(String, i32)],
    point: Offset,
    timeout: Duration,
) -> Result<Vec<Option<i64>>, ClientError> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match ask(consumer, partitions, point, left.max(PAUSE)) {
            Err(error) if left > PAUSE && may_pass(&error) => thread::sleep(PAUSE),
            result => {
                return result.map_err(|error| {
                    fatal("cannot learn where the partitions begin and end", &error)
                });
            }
        }
    }
}

fn may_pass(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    !matches!(
        error.rdkafka_error_code(),
        Some(
            Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::InvalidArgument
                | Code::UnsupportedVersion
        )
    )
}

fn ask<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[(String, i32)],
    point: Offset,
    timeout: Duration,
) -> KafkaResult<Vec<Option<i64>>> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition_offset(topic, *partition, point)?;
    }
    let list = consumer.offsets_for_times(list, timeout)?;
    let offset = |(topic, partition): &(String, i32)| {
        let unanswered = KafkaError::OffsetFetch(RDKafkaErrorCode::OffsetNotAvailable);
        let Some(element) = list.find_partition(topic, *partition) else {
            return Err(unanswered);
        };
        element.error()?;
        match (element.offset(), point) {
            (Offset::Offset(offset), _) => Ok(Some(offset)),
            // Nothing of that time or later.
            (Offset::End, Offset::Offset(_)) => Ok(None),
            // Left as it was asked.
            _ => Err(unanswered),
        }
    };
    partitions.iter().map(offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_lies_between_the_oldest_record_and_the_end() {
        for (place, of_time, offset) in [
            (Start::Beginning, None, 10),
            (Start::End, None, 20),
            (Start::Offset(0), None, 10),
            (Start::Offset(15), None, 15),
            (Start::Offset(99), None, 20),
            (Start::Last(3), None, 17),
            (Start::Last(i64::MAX), None, 10),
            (Start::Time(5), Some(12), 12),
            // Nothing of that time or later: with what comes.
            (Start::Time(5), None, 20),
        ] {
            assert_eq!(resolve(place, 10, 20, of_time), offset, "{place:?}");
        }
        assert_eq!(resolve(Start::Last(1), 0, 0, None), 0);
    }
}
