//! Up to where partitions are done.

use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};

/// Up to where a partition is done: the offset of the next record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset of the next record, one more than that of the last that is done.
    pub offset: i64,
}

/// The places in a list that are offsets.
pub(crate) fn positions(list: &TopicPartitionList) -> Vec<Position> {
    let position = |element: &TopicPartitionListElem<'_>| match element.offset() {
        Offset::Offset(offset) => Some(Position {
            topic: element.topic().to_owned(),
            partition: element.partition(),
            offset,
        }),
        _ => None,
    };
    list.elements().iter().filter_map(position).collect()
}
