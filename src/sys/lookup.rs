//! Names of hosts, one family of addresses at a time, for which std has no question.
#![allow(unsafe_code, reason = "getaddrinfo(3) with a family")]

use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4 = libc::AF_INET as isize,
    /// IPv6.
    V6 = libc::AF_INET6 as isize,
}

/// The addresses that the resolver has for a name in this family.
///
/// # Errors
/// Why there is none, in its words.
pub fn addresses(host: &CStr, family: Family) -> Result<Vec<IpAddr>, String> {
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
