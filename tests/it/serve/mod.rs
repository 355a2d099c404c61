//! The service with its pages and its API.

mod access;
