//! Names of hosts, one family of addresses at a time, for which std has no question.
#![allow(unsafe_code, reason = "getaddrinfo(3) with a family")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses that the resolver has for IPv4, and those that it has for IPv6.
pub fn one_family_at_a_time(host: &str) -> Vec<IpAddr> {
    let Ok(host) = std::ffi::CString::new(host) else { return Vec::new() };
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        // SAFETY: all zeros are a valid `addrinfo`: no pointer in it is followed.
        let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
        (hints.ai_family, hints.ai_socktype) = (family, libc::SOCK_STREAM);
        let mut list = std::ptr::null_mut();
        // SAFETY: a string with its NUL, live locals; the list is libc's until it is given back below.
        if unsafe { libc::getaddrinfo(host.as_ptr(), std::ptr::null(), &raw const hints, &raw mut list) } != 0 {
            continue;
        }
        let mut next = list.cast_const();
        // SAFETY: libc's list, whose last entry points to nobody; each address is of the family that it names.
        unsafe {
            while let Some(entry) = next.as_ref() {
                match entry.ai_family {
                    libc::AF_INET => {
                        let address = entry.ai_addr.cast::<libc::sockaddr_in>().read_unaligned();
                        found.push(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)).into());
                    }
                    libc::AF_INET6 => {
                        let address = entry.ai_addr.cast::<libc::sockaddr_in6>().read_unaligned();
                        found.push(Ipv6Addr::from(address.sin6_addr.s6_addr).into());
                    }
                    _ => {}
                }
                next = entry.ai_next;
            }
            libc::freeaddrinfo(list);
        }
    }
    found
}
