//! An MQTT broker, a Kafka cluster and a schema registry in one process, for a laptop.

mod addresses;
mod args;
mod command;
mod kafka;
mod libraries;
mod mqtt;
mod registry;

use std::{
    io::{self, IsTerminal, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tapline_pipe::{
    console::{Console, Level},
    io::stop::Stop,
    outcome::conclude,
};

use addresses::Addresses;
use args::Args;
use kafka::Cluster;
use mqtt::Trouble;

/// How long each broker may take to answer for the first time.
const READY_LIMIT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let args = Args::parse();
    let terminal = io::stderr().is_terminal();
    let console = Console::new("dev-brokers", args.messages.level(), io::stderr(), terminal);
    conclude(&console, |stop| run(&args, stop, &console))
}

fn run(args: &Args, stop: &Stop, console: &Console) -> anyhow::Result<u8> {
    if console.level() >= Level::Debug {
        libraries::listen(console.clone())?;
    }
    raise_descriptor_limit();
    let cluster = Cluster::start(args.kafka_brokers, &args.topics)?;
    let addresses = start(args, &cluster, console)?;
    if !args.command.is_empty() {
        return command::run(&args.command, &addresses, stop);
    }
    announce(&addresses, console)?;
    // All is in memory, so there is nothing to finish: the first signal ends it at once, at any moment.
    Ok(stop.wait().exit_code())
}

/// Starts what there is beside the Kafka cluster, and waits until all of it answers.
fn start(args: &Args, cluster: &Cluster, console: &Console) -> anyhow::Result<Addresses> {
    let mqtt = listen("mqtt", "--mqtt-port", args.mqtt_port)?;
    let registry = listen("registry", "--registry-port", args.registry_port)?;
    let mqtt_address = mqtt.local_addr()?;
    let addresses = Addresses {
        mqtt: mqtt_address.to_string(),
        kafka: cluster.addresses(),
        registry: registry.local_addr()?.to_string(),
    };
    let troubled = console.clone();
    let behind = mqtt::start(args.mqtt_buffer, move |trouble| match trouble {
        Trouble::Overrun(message) => troubled.warn(message),
        Trouble::Died => {
            troubled.error("mqtt: the broker died of an error of its own");
            std::process::exit(2);
        }
    })?;
    let for_front = console.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::Builder::new()
        .name("servers".into())
        .spawn(move || {
            runtime.block_on(async {
                let listeners = (
                    tokio::net::TcpListener::from_std(mqtt),
                    tokio::net::TcpListener::from_std(registry),
                );
                // Both were made non-blocking, which is all that can be wrong with them.
                if let (Ok(mqtt), Ok(registry)) = listeners {
                    tokio::join!(
                        mqtt::front::serve(mqtt, behind, for_front),
                        registry::http::serve(registry)
                    );
                }
            });
        })?;
    mqtt::wait_until_ready(mqtt_address, READY_LIMIT)?;
    cluster.wait_until_ready(args.kafka_brokers, READY_LIMIT)?;
    Ok(addresses)
}

/// An MQTT connection takes three descriptors, and a fleet has many connections.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it can't be raised, what there is must do.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}

/// Listens on loopback: on the port that was asked for, or on a free one.
fn listen(what: &str, option: &str, port: Option<u16>) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(0)));
    let listener = TcpListener::bind(address).map_err(|error| match (error.kind(), port) {
        (io::ErrorKind::AddrInUse, Some(port)) => anyhow!(
            "{what}: port {port} is in use: give {option} another one, or leave it out for a free one"
        ),
        _ => anyhow!("{what}: no port on {}: {error}", address.ip()),
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn announce(addresses: &Addresses, console: &Console) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    write!(stdout, "{addresses}")
        .and_then(|()| stdout.flush())
        .context("stdout: the addresses could not be written")?;
    console.info("ready: all in memory, for a laptop; SIGINT (Ctrl-C) or SIGTERM ends it");
    Ok(())
}
