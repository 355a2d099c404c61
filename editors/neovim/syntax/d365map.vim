" Colours of mapping files where no language server runs.
if exists("b:current_syntax")
  finish
endif
syntax match d365mapComment /#.*$/ contains=d365mapAllow
syntax match d365mapAllow /\callow([^)]*)/ contained
syntax region d365mapString start=/"/ skip=/\\./ end=/"\|$/ contains=d365mapField
syntax match d365mapField /{\$\?\h[0-9A-Za-z_.]*}/ contained
syntax keyword d365mapBlock mapping key replace filter options optout events test let include given expect filtered rejected direction
syntax keyword d365mapWord all any not is present empty in between and changed within contains starts ends with matches or else
syntax keyword d365mapConstant true false null now today keep reject
syntax match d365mapNumber /\<\d\+\(\.\d\+\)\?[dhm]\?\>\|\<\d\{4}-\d\d-\d\d\(T\S\+\)\?/
syntax match d365mapStep /|\s*\zs\h\w*/
syntax match d365mapFlag /@\h\w*/
syntax match d365mapName /\$\h\w*/
syntax match d365mapArrow /<->\|->\|<-\|=>/
highlight default link d365mapComment Comment
highlight default link d365mapAllow SpecialComment
highlight default link d365mapString String
highlight default link d365mapField Identifier
highlight default link d365mapBlock Keyword
highlight default link d365mapWord Statement
highlight default link d365mapConstant Constant
highlight default link d365mapNumber Number
highlight default link d365mapStep Function
highlight default link d365mapFlag StorageClass
highlight default link d365mapName Identifier
highlight default link d365mapArrow Operator
let b:current_syntax = "d365map"
