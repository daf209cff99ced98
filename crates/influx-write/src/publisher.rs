//! The database as the publishing loop sees it.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use tapline_influx::client::Client;
use tapline_influx::point::Point;
use tapline_influx::writer::{Event, Limits, Settled, Writer};
use tapline_pipe::console::Console;
use tapline_pipe::publish::{self, Fatal, Outgoing, SendError};
use tapline_pipe::reject::{Reason, Rejection};
use tapline_pipe::units::grouped;

use crate::compose::Composer;
use crate::series::{Repeated, SameTime, SeriesLimit, hash};
use crate::timing::{NoTime, Timing};

/// Composes points and writes them.
#[derive(Debug)]
pub(crate) struct Publisher {
    writer: Writer,
    composer: Composer,
    timing: Timing,
    limit: SeriesLimit,
    max_series: u64,
    same_time: Option<SameTime>,
    pub(crate) repeated: Option<Repeated>,
    address: String,
    console: Console,
    point: Point,
    /// The record whose point this is, if there was no room for it.
    waiting: Option<(u64, Made)>,
    values: Vec<u64>,
    settled: Vec<Settled>,
    events: Vec<Event>,
    /// Points under way, where each is reported.
    receipts: Option<HashMap<u64, Receipt>>,
    /// Connections over which the database takes nothing now.
    stalled: usize,
}

/// What is known of the point that was made last.
#[derive(Debug)]
struct Made {
    /// A number that all points of its series have.
    series: u64,
    receipt: Option<Receipt>,
}

/// The point that a record became.
#[derive(Debug, Serialize)]
pub(crate) struct Receipt {
    /// Measurement and tags.
    series: String,
    /// In the precision.
    time: i64,
}

impl Publisher {
    pub(crate) fn new(
        client: &Client,
        limits: Limits,
        composer: Composer,
        timing: Timing,
        max_series: u64,
        is_reporting: bool,
        console: &Console,
    ) -> std::io::Result<Self> {
        Ok(Self {
            writer: Writer::start(client, limits)?,
            limit: SeriesLimit::new(max_series, composer.tag_names().count()),
            max_series,
            same_time: timing.offsets().and_then(SameTime::new),
            repeated: timing.is_of_field_alone().then(Repeated::new),
            composer,
            timing,
            address: client.address().to_owned(),
            console: console.clone(),
            point: Point::default(),
            waiting: None,
            values: Vec::new(),
            settled: Vec::new(),
            events: Vec::new(),
            receipts: is_reporting.then(HashMap::new),
            stalled: 0,
        })
    }

    /// Makes the record's point.
    fn make(&mut self, record: &Outgoing<'_>) -> Result<Made, SendError> {
        let (composer, point, values) = (&mut self.composer, &mut self.point, &mut self.values);
        values.clear();
        let limit = &mut self.limit;
        composer.compose(record, point, |_, value| values.push(hash(value)))?;
        let moment = match self.timing.of(record) {
            Ok(moment) => moment,
            Err(NoTime::Reject(rejection)) => return Err(rejection.into()),
            Err(NoTime::Fatal(why)) => return Err(SendError::Fatal(why.into())),
        };
        let series = hash(point.series());
        if !limit.take(series, values) {
            return Err(SendError::Fatal(self.too_many_series().into()));
        }
        if let (Some(same_time), Some(place)) = (&mut self.same_time, moment.place)
            && let Some(other) = same_time.meets(series, moment.time, place)
        {
            let detail = format!(
                "its point would replace that of offset {other}: the same series, partition {} and time",
                place.partition
            );
            return Err(Rejection::new(Reason::SameTime, detail).into());
        }
        if let Some(repeated) = &mut self.repeated {
            repeated.take(series, moment.time);
        }
        let receipt = self.receipts.is_some().then(|| Receipt {
            series: String::from_utf8_lossy(point.series()).into_owned(),
            time: moment.time,
        });
        point.finish(moment.time);
        Ok(Made { series, receipt })
    }

    fn too_many_series(&self) -> String {
        let most = self.max_series;
        let widest = self.limit.widest().and_then(|(number, values)| {
            let name = self.composer.tag_names().nth(number)?;
            Some(format!(
                ": tag '{name}' alone has {} values",
                grouped(values as u64)
            ))
        });
        format!(
            "more series than --max-series {most}{}",
            widest.unwrap_or_default()
        )
    }

    /// Tells what the writer has to tell; why nothing can be written any more, if that is so.
    fn tell(&mut self) -> Option<String> {
        let mut ended = None;
        for event in self.events.drain(..) {
            match event {
                Event::Waiting(why) => {
                    self.stalled += 1;
                    if self.stalled == 1 {
                        self.console
                            .warn(format_args!("{}: {why}; retrying", self.address));
                    }
                }
                Event::Resumed(after) => {
                    self.stalled = self.stalled.saturating_sub(1);
                    if self.stalled == 0 {
                        self.console.info(format_args!(
                            "{}: writing again after {:.1} s",
                            self.address,
                            after.as_secs_f64()
                        ));
                    }
                }
                Event::Ended(why) => ended = Some(format!("{}: {why}", self.address)),
            }
        }
        ended
    }
}

impl publish::Publisher for Publisher {
    type Receipt = Option<Receipt>;

    fn send(&mut self, ticket: u64, record: &Outgoing<'_>) -> Result<(), SendError> {
        // What found no room the last time is offered again; it is made once.
        let made = match self.waiting.take() {
            Some((waiting, made)) if waiting == ticket => made,
            _ => self.make(record)?,
        };
        if !self.writer.push(ticket, made.series, self.point.line()) {
            self.waiting = Some((ticket, made));
            return Err(SendError::Full);
        }
        if let (Some(receipts), Some(receipt)) = (&mut self.receipts, made.receipt) {
            receipts.insert(ticket, receipt);
        }
        Ok(())
    }

    fn poll(
        &mut self,
        wait: Duration,
        settled: &mut Vec<publish::Settled<Option<Receipt>>>,
    ) -> Result<(), Fatal> {
        self.writer.poll(wait, &mut self.settled, &mut self.events);
        for (ticket, outcome) in self.settled.drain(..) {
            let receipt = self
                .receipts
                .as_mut()
                .and_then(|receipts| receipts.remove(&ticket));
            let outcome = outcome.map(|()| receipt);
            settled.push((
                ticket,
                outcome.map_err(|why| Rejection::new(Reason::Refused, why)),
            ));
        }
        match self.tell() {
            Some(why) => Err(why.into()),
            None => Ok(()),
        }
    }

    fn abandon(&mut self) {
        self.writer.abandon();
    }
}
