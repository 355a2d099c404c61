" Colors of mapping files, for Vim as well as Neovim. A language server adds to them what only it knows: which names exist.
if exists("b:current_syntax")
  finish
endif
let s:cpo = &cpo
set cpo&vim

" Words that begin a block or an entry, where they stand first.
syntax match d365mapBlock /\%(^\|[;{}]\)\s*\zs\%(mapping\|replace\|filter\|options\|when\|case\|optout\|events\|test\|key\|adopt\|given\|expect\|direction\|link\|rows\|table\)\>\ze\%(\s\+[[:alnum:]_"`]\|\s*\%({\|$\)\)/
syntax match d365mapInclude /\%(^\|;\)\s*\zs\%(let\|include\)\>\ze\s\+["[:alnum:]_]/
syntax match d365mapOutcome /\%(\<expect\s\+\)\@<=\%(filtered\|rejected\)\>/
syntax match d365mapOutcome /\%([[:alnum:]_`]\s\+\)\@<=absent\>\ze\s*\%($\|[,;}#]\)/
" Words of filters and arms; a field of such a name stands before an arrow and is none of them.
syntax match d365mapWord /\<\%(all\|any\|not\|in\|between\|and\|or\|contains\|matches\)\>\%(\s*\%(->\|<-\|[.:]\)\)\@!/
syntax match d365mapWord /\<\%(is\s\+\%(present\|empty\)\|changed\s\+within\|every\ze\s\+\d\+[dhm]\|\%(starts\|ends\)\s\+with\)\>/
syntax match d365mapWord /\<\%(or\s\+\%(null\|keep\|reject\|later\|default\)\|else\ze\s*\%(=>\|{\|when\>\)\|case\ze\s*{\)/
syntax match d365mapWord /\%(\<replace\s\+\S\+\s\+\)\@<=with\>/
syntax match d365mapWord /\%(\<\%(link\|rows\)\s\+\S\+\s\+\S\+\s\+\)\@<=by\>/
syntax match d365mapWord /\%(\<adopt\s\+\)\@<=by\>/
syntax match d365mapWord /\%(<->\s*\|\<not\s\+\)\@<=subscription\>\ze\s\+"/
syntax match d365mapWord /\%(\<table\s\+\S\+\s\+\)\@<=from\>/
syntax match d365mapWord /\%("\s\+\)\@<=sheet\>\ze\s\+"/
syntax match d365mapOutcome /\%(\<or\s\+\)\@<=create\>/
syntax match d365mapOutcome /\%(=>\s*\)\@<=\%(keep\|reject\)\>/
syntax keyword d365mapConstant true false null
syntax match d365mapConstant /\<\%(now\|today\)\>\%(\s*\%(->\|<-\|[.:]\)\)\@!/

syntax match d365mapStep /|\s*\zs\h\w*/
syntax match d365mapStep /\<\%(coalesce\|concat\|join\|lookup\|min\|max\|abs\)\ze\s*(/
syntax match d365mapOperator /\%(^\|[;{}]\|=>\|<-\)\s*\zs=[=>]\@!/
syntax match d365mapOperator /[[:alnum:]_`)]\s*\zs\%([+*\/]\|-\s\)/
syntax match d365mapFlag /@\h\w*/
syntax match d365mapName /\$\h\w*/
syntax match d365mapQuoted /`[^`]*`/
syntax match d365mapArrow /<->\|<=>\|->\|<-\|=>/

" The longer the literal, the later it is defined: the last that fits is the one that is taken.
syntax match d365mapNumber /-\?\<\d\+\%(\.\d\+\)\?\>/
syntax match d365mapNumber /\<\d\+[dhm]\>/
syntax match d365mapNumber /\<\d\{4}-\d\d-\d\d\>/
syntax match d365mapNumber /\<\d\{4}-\d\d-\d\dT[[:alnum:]:.+-]\+/

syntax region d365mapString start=/"/ skip=/\\./ end=/"\|$/ contains=d365mapEscape,d365mapField oneline
syntax match d365mapEscape /\\./ contained
syntax match d365mapField /{\s*\$\?\h[[:alnum:]_.]*\s*}/ contained

syntax match d365mapComment /#.*$/ contains=d365mapAllow
syntax match d365mapAllow /#\+\s*\callow\s*([^)]*)/ contained

highlight default link d365mapBlock Keyword
highlight default link d365mapInclude PreProc
highlight default link d365mapWord Statement
highlight default link d365mapOutcome Statement
highlight default link d365mapConstant Constant
highlight default link d365mapStep Function
highlight default link d365mapFlag StorageClass
highlight default link d365mapName Identifier
highlight default link d365mapQuoted Identifier
highlight default link d365mapArrow Operator
highlight default link d365mapOperator Operator
highlight default link d365mapNumber Number
highlight default link d365mapString String
highlight default link d365mapEscape SpecialChar
highlight default link d365mapField Identifier
highlight default link d365mapComment Comment
highlight default link d365mapAllow SpecialComment

let b:current_syntax = "d365map"
let &cpo = s:cpo
unlet s:cpo
