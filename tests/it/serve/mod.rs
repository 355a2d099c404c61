//! The service with its pages and its API.

mod access;
mod api;
mod audit;
mod checks;
mod desk;
mod editor;
mod live;
mod oidc;
mod optouts;
mod pages;
mod people;
mod privacy;
mod remote;
mod rights;
mod roles;
mod sizes;
pub mod support;
