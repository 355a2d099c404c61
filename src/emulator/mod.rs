//! Faithful local stand-ins for Dataverse, Campaign and their token endpoints.
