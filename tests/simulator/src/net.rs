//! The network: connections between processes that are late, stand still, or break.
//!
//! A connection is a pair of byte streams, each in order, as TCP has it: what is lost on the way comes
//! late. A blocked way holds what is sent until it opens; a cut connection breaks at both ends, each in
//! its own time; a process that is killed may leave its peers without a word.

mod ways;

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use ways::{RETRANSMIT, delay, is_blocked};
pub use ways::{Weather, block, carry, set_weather, slow_down, speed_up, unblock};

use crate::{
    remote::Slot,
    world::{self, MS, Pid, Time},
};

#[derive(Default)]
struct Net {
    doors: HashMap<String, Arc<Mutex<Door>>>,
    connections: Vec<Arc<Mutex<Connection>>>,
}

thread_local! {
    static NET: RefCell<Net> = RefCell::default();
}

/// Where a process accepts connections.
struct Door {
    pid: Pid,
    open: bool,
    waiting: VecDeque<Bytes>,
    waker: Option<Waker>,
}

/// Both ways between two processes.
struct Connection {
    ends: [End; 2],
}

/// What one process sees of a connection.
struct End {
    pid: Pid,
    /// Its process is gone, or it closed the connection.
    gone: bool,
    arrived: VecDeque<u8>,
    finished: bool,
    broken: bool,
    waker: Option<Waker>,
    /// On the way to it, in order.
    coming: VecDeque<Part>,
    last_arrival: Time,
}

enum Part {
    Bytes(Vec<u8>),
    End,
}

/// One end of a connection.
pub struct Bytes {
    connection: Arc<Mutex<Connection>>,
    side: usize,
}

/// Forgets everything.
pub fn begin(weather: Weather) {
    NET.take();
    ways::begin(weather);
}

/// Opens a process' door.
pub fn listen(name: &str, pid: Pid) -> Listener {
    let door = Arc::new(Mutex::new(Door { pid, open: true, waiting: VecDeque::new(), waker: None }));
    NET.with_borrow_mut(|net| net.doors.insert(name.to_owned(), door.clone()));
    Listener(door)
}

/// Connections as a process accepts them. Clones share them.
#[derive(Clone)]
pub struct Listener(Arc<Mutex<Door>>);

impl Stream for Listener {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut door = lock(&self.0);
        match door.waiting.pop_front() {
            Some(bytes) => Poll::Ready(Some(Ok(bytes))),
            None => {
                door.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Connects the running process to a door.
pub async fn dial(name: String) -> io::Result<Bytes> {
    let from = world::running().ok_or_else(|| io::Error::other("nobody dials"))?;
    let slot = Slot::new(from);
    knock(name, from, slot.clone());
    slot.await
}

/// A request for a connection, sent again each second while the way is blocked.
fn knock(name: String, from: Pid, slot: Slot<io::Result<Bytes>>) {
    world::after(delay(), move || {
        let door = NET.with_borrow(|net| net.doors.get(&name).cloned());
        let refuse = |slot: Slot<_>| {
            world::after(delay(), move || {
                slot.fill(Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused")));
            });
        };
        let Some(door) = door else { return refuse(slot) };
        let (to, open) = {
            let door = lock(&door);
            (door.pid, door.open)
        };
        if is_blocked(from, to) || is_blocked(to, from) {
            // Given up by whoever waits for it.
            return world::after(1_000 * MS, move || knock(name, from, slot));
        }
        if !open {
            return refuse(slot);
        }
        let end = |pid| End {
            pid,
            gone: false,
            arrived: VecDeque::new(),
            finished: false,
            broken: false,
            waker: None,
            coming: VecDeque::new(),
            last_arrival: 0,
        };
        let connection = Arc::new(Mutex::new(Connection { ends: [end(from), end(to)] }));
        NET.with_borrow_mut(|net| {
            net.connections.retain(|known| !lock(known).ends.iter().all(|end| end.gone));
            net.connections.push(connection.clone());
        });
        let waker = {
            let mut door = lock(&door);
            door.waiting.push_back(Bytes { connection: connection.clone(), side: 1 });
            door.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
        world::wake(to);
        world::after(delay(), move || slot.fill(Ok(Bytes { connection, side: 0 })));
    });
}

/// A process is gone: its ends and its door with it. Without `silently` its peers hear of it.
pub fn bury(pid: Pid, silently: bool) {
    NET.with_borrow_mut(|net| {
        for door in net.doors.values() {
            let mut door = lock(door);
            if door.pid == pid {
                door.open = false;
                door.waker = None;
            }
        }
    });
    for connection in connections_of(pid) {
        let mut guard = lock(&connection);
        for side in 0..2 {
            if guard.ends[side].pid != pid || guard.ends[side].gone {
                continue;
            }
            guard.ends[side].gone = true;
            guard.ends[side].waker = None;
            if !silently {
                break_later(&connection, 1 - side);
            }
        }
    }
}

/// What waited at its door was dropped with it.
pub fn empty_door(pid: Pid) {
    let doors: Vec<_> = NET.with_borrow(|net| net.doors.values().cloned().collect());
    for door in doors {
        let waiting = {
            let mut door = lock(&door);
            if door.pid == pid && !door.open { std::mem::take(&mut door.waiting) } else { VecDeque::new() }
        };
        drop(waiting);
    }
}

/// Cuts the connections between two processes.
pub fn cut(one: Pid, other: Pid) -> usize {
    let mut cut = 0;
    for connection in connections_of(one) {
        let live = {
            let guard = lock(&connection);
            guard.ends.iter().any(|end| end.pid == other) && guard.ends.iter().all(|end| !end.gone)
        };
        if live {
            cut += 1;
            for side in 0..2 {
                break_later(&connection, side);
            }
        }
    }
    cut
}

fn connections_of(pid: Pid) -> Vec<Arc<Mutex<Connection>>> {
    NET.with_borrow(|net| {
        let of =
            |connection: &&Arc<Mutex<Connection>>| lock(connection).ends.iter().any(|end| end.pid == pid);
        net.connections.iter().filter(of).cloned().collect()
    })
}

fn break_later(connection: &Arc<Mutex<Connection>>, side: usize) {
    let connection = connection.clone();
    world::after(delay(), move || {
        let (pid, waker) = {
            let mut guard = lock(&connection);
            let end = &mut guard.ends[side];
            end.broken = true;
            end.coming.clear();
            (end.pid, end.waker.take())
        };
        waker.into_iter().for_each(Waker::wake);
        world::wake(pid);
    });
}

fn send(connection: &Arc<Mutex<Connection>>, from_side: usize, part: Part) {
    let at = {
        let mut guard = lock(connection);
        let (from, to) = (guard.ends[from_side].pid, guard.ends[1 - from_side].pid);
        let end = &mut guard.ends[1 - from_side];
        let at = (world::now() + ways::delay_from(from, to)).max(end.last_arrival + 1);
        end.last_arrival = at;
        end.coming.push_back(part);
        at
    };
    arrive_at(connection.clone(), 1 - from_side, at);
}

fn arrive_at(connection: Arc<Mutex<Connection>>, side: usize, at: Time) {
    world::after(at - world::now(), move || {
        let mut guard = lock(&connection);
        let (from, to) = (guard.ends[1 - side].pid, guard.ends[side].pid);
        if is_blocked(from, to) {
            drop(guard);
            let again = world::now() + RETRANSMIT;
            return arrive_at(connection, side, again);
        }
        if guard.ends[side].gone {
            // Nobody is there: the sender hears so.
            drop(guard);
            return break_later(&connection, 1 - side);
        }
        let end = &mut guard.ends[side];
        match end.coming.pop_front() {
            Some(Part::Bytes(bytes)) => end.arrived.extend(bytes),
            Some(Part::End) => end.finished = true,
            None => return,
        }
        let waker = end.waker.take();
        drop(guard);
        waker.into_iter().for_each(Waker::wake);
        world::wake(to);
    });
}

impl AsyncRead for Bytes {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut connection = lock(&self.connection);
        let end = &mut connection.ends[self.side];
        if !end.arrived.is_empty() {
            let (first, _) = end.arrived.as_slices();
            let read = first.len().min(buffer.remaining());
            buffer.put_slice(&first[..read]);
            end.arrived.drain(..read);
            return Poll::Ready(Ok(()));
        }
        if end.broken || end.gone {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if end.finished {
            return Poll::Ready(Ok(()));
        }
        end.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Bytes {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let end_is_broken = {
            let connection = lock(&self.connection);
            let end = &connection.ends[self.side];
            end.broken || end.gone
        };
        if end_is_broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        send(&self.connection, self.side, Part::Bytes(bytes.to_vec()));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Connected for Bytes {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl Drop for Bytes {
    fn drop(&mut self) {
        let was_there = {
            let mut connection = lock(&self.connection);
            let end = &mut connection.ends[self.side];
            !std::mem::replace(&mut end.gone, true) && !end.broken
        };
        if was_there {
            send(&self.connection, self.side, Part::End);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
