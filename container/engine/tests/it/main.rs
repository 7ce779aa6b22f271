//! The engine as workerd meets it: the real program, spoken to through its socket.

#[cfg(test)]
mod death;
#[cfg(test)]
mod egress;
#[cfg(test)]
mod ingress;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod support;
