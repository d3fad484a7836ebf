//! Names of hosts, one family of addresses at a time, for which std has no question.
#![allow(unsafe_code, reason = "getaddrinfo(3) with a family")]

use std::ffi::{CStr, CString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the addresses for IPv6 wait for those for IPv4, which are tried first.
const PRECEDENCE: Duration = Duration::from_millis(50);
/// Of a thread that asks the resolver.
const STACK: usize = 512 * 1024;

/// What the resolver has for one family, or why it has nothing.
type Found = Result<Vec<IpAddr>, String>;

/// The addresses of a host, asked for in both families at once: the resolver tries again for seconds where one of them fails.
pub struct Names {
    told: Arc<Mutex<[Option<Found>; 2]>>,
    troubles: [Option<String>; 2],
    taken: [bool; 2],
    preferred_until: Instant,
}

impl Names {
    /// Asks, beside the caller. Where there is no room for a thread it is asked in place.
    pub fn ask(host: CString) -> Names {
        let told = Arc::new(Mutex::new([None, None]));
        let host: Arc<CStr> = host.into();
        let caller = thread::current();
        for (place, family) in [Family::V4, Family::V6].into_iter().enumerate() {
            let ask = || {
                let (host, told, caller) = (Arc::clone(&host), Arc::clone(&told), caller.clone());
                move || {
                    let found = addresses(&host, family);
                    if let Some(place) = told.lock().unwrap_or_else(PoisonError::into_inner).get_mut(place) {
                        *place = Some(found);
                    }
                    caller.unpark();
                }
            };
            if thread::Builder::new().stack_size(STACK).spawn(ask()).is_err() {
                ask()();
            }
        }
        Names { told, troubles: [None, None], taken: [false; 2], preferred_until: Instant::now() + PRECEDENCE }
    }

    /// The addresses of the next family: IPv4, unless IPv6 is there and the other is not for some time. `None` when both have
    /// been taken or have failed, or the time is up.
    pub fn next(&mut self, end: Instant) -> Option<Vec<IpAddr>> {
        loop {
            let now = Instant::now();
            let first_is_late = self.preferred_until <= now;
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let mut waiting = false;
            for ((told, taken), trouble) in told.iter_mut().zip(&mut self.taken).zip(&mut self.troubles) {
                // Behind one that is preferred and may come still.
                if *taken || (waiting && !first_is_late) {
                    continue;
                }
                match told.take() {
                    Some(Ok(found)) => {
                        *taken = true;
                        return Some(found);
                    }
                    Some(Err(reason)) => (*taken, *trouble) = (true, Some(reason)),
                    None => waiting = true,
                }
            }
            drop(told);
            if !waiting || end <= now {
                return None;
            }
            let until = if first_is_late { end } else { end.min(self.preferred_until) };
            thread::park_timeout(until.saturating_duration_since(now));
        }
    }

    /// Of how many families something may come still.
    pub fn to_come(&self) -> usize {
        self.taken.iter().filter(|taken| !**taken).count()
    }

    /// Why there is nothing, in the resolver's words.
    pub fn trouble(&mut self) -> Option<String> {
        self.troubles.iter_mut().find_map(Option::take)
    }
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// IPv4.
    V4 = libc::AF_INET as isize,
    /// IPv6.
    V6 = libc::AF_INET6 as isize,
}

/// The addresses that the resolver has for a name in this family.
///
/// # Errors
/// Why there is none, in its words.
fn addresses(host: &CStr, family: Family) -> Result<Vec<IpAddr>, String> {
    // SAFETY: all zeros are a valid `addrinfo`: no pointer in it is followed.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    (hints.ai_family, hints.ai_socktype) = (family as libc::c_int, libc::SOCK_STREAM);
    let mut list = std::ptr::null_mut();
    // SAFETY: a string with its NUL, live locals; the list is libc's until it is given back below.
    let failed = unsafe { libc::getaddrinfo(host.as_ptr(), std::ptr::null(), &raw const hints, &raw mut list) };
    if failed != 0 {
        // SAFETY: a string that libc keeps for ever.
        let reason = unsafe { CStr::from_ptr(libc::gai_strerror(failed)) };
        return Err(reason.to_string_lossy().into_owned());
    }
    let mut found = Vec::new();
    let mut next = list.cast_const();
    // SAFETY: libc's list, whose last entry points to nobody; each address is of the family that was asked for.
    unsafe {
        while let Some(entry) = next.as_ref() {
            found.push(match family {
                Family::V4 => {
                    let address = entry.ai_addr.cast::<libc::sockaddr_in>().read_unaligned();
                    IpAddr::V4(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)))
                }
                Family::V6 => {
                    let address = entry.ai_addr.cast::<libc::sockaddr_in6>().read_unaligned();
                    IpAddr::V6(Ipv6Addr::from(address.sin6_addr.s6_addr))
                }
            });
            next = entry.ai_next;
        }
        libc::freeaddrinfo(list);
    }
    Ok(found)
}
