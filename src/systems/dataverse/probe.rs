//! Looks at an environment for diagnosis: each asks one question, reads only, and takes every answer for a finding.
//!
//! Sources: Dataverse Web API, *WhoAmI*, *RetrieveUserPrivileges*, *Query table definitions*, *Use change tracking to
//! synchronize data* (organization-level read), *Work with alternate keys* (index status).

use url::Url;
use uuid::Uuid;

use super::{Dataverse, name, query};
use crate::connect::ConnectError;
use crate::connect::http::{Look, Miss};

impl Dataverse {
    /// The address of the API: what is under it answers with 401 where no token is shown.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub fn api_root(&self) -> &Url {
        &self.0.root
    }

    /// Gets a token.
    ///
    /// # Errors
    /// [`ConnectError::Token`] when the token service refuses the client; others as they come.
    pub async fn sign_in(&self) -> Result<(), ConnectError> {
        self.0.token.prove().await
    }

    /// Looks at who the client is.
    ///
    /// # Errors
    /// [`Miss`].
    pub async fn look_who_am_i(&self) -> Result<Look, Miss> {
        self.look("WhoAmI", "", None).await
    }

    /// Looks at what a user may do, by all the roles it has.
    ///
    /// # Errors
    /// [`Miss`].
    pub async fn look_privileges(&self, user: Uuid) -> Result<Look, Miss> {
        self.look(&format!("systemusers({user})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()"), "", None).await
    }

    /// Looks at a table's definition with its alternate keys.
    ///
    /// # Errors
    /// [`Miss`].
    pub async fn look_definition(&self, table: &str) -> Result<Look, Miss> {
        let path = format!("EntityDefinitions(LogicalName='{}')", name(&table.replace('\'', "''")));
        let select = "LogicalName,SchemaName,EntitySetName,PrimaryIdAttribute,ChangeTrackingEnabled,IsActivity";
        let keys = "Keys($select=LogicalName,KeyAttributes,EntityKeyIndexStatus)";
        self.look(&path, &query(&[("$select", select), ("$expand", keys)]), None).await
    }

    /// Looks at one row of a table by its primary key alone: with change tracking as a flow's first page asks for it, which
    /// needs read at organization level, or without.
    ///
    /// # Errors
    /// [`Miss`].
    pub async fn look_row(&self, set: &str, primary_key: &str, tracked: bool) -> Result<Look, Miss> {
        let prefer = if tracked { "odata.maxpagesize=1,odata.track-changes" } else { "odata.maxpagesize=1" };
        self.look(&name(set), &query(&[("$select", &name(primary_key))]), Some(prefer)).await
    }

    async fn look(&self, path: &str, query: &str, prefer: Option<&str>) -> Result<Look, Miss> {
        let request = self.request(self.url(path, query)?, prefer.map(str::to_owned))?;
        self.0.http.look(&request).await
    }
}
