// Two tables in the shape of Dataverse's, served where Dataverse's Web API is.
context crm {
  // With versions, so that a write can depend on one. This server then insists on a condition with every write.
  entity accounts {
    key accountid   : UUID;
        name        : String(160);
        revenue     : Decimal(19, 4);
        @odata.etag
        @cds.on.insert: $now
        @cds.on.update: $now
        modifiedon  : Timestamp;
  }

  // Without versions.
  @assert.unique: { email: [ emailaddress1 ] }
  entity contacts {
    key contactid        : UUID;
        firstname        : String(50);
        lastname         : String(50);
        emailaddress1    : String(100);
        creditlimit      : Decimal(19, 4);
        numberofchildren : Integer;
        donotemail       : Boolean;
        birthdate        : Date;
        createdon        : DateTime @cds.on.insert: $now;
        parentcustomerid : Association to accounts;
  }
}

@path: '/api/data/v9.2'
service Web {
  entity accounts as projection on crm.accounts;
  // Pages of fifty, whatever size is asked for.
  @cds.query.limit: { default: 50, max: 50 }
  entity contacts as projection on crm.contacts;
}
